"""The words of the Berka tables and their meaning here: transaction categories, tree, and products with their dates.

Two forms are in use: the Czech words of the publication (PKDD'99 Discovery Challenge, P. Berka and M. Sochorova) and an English
rendering of them. Both are listed as they are spelled, misspellings included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# Sign of the amount in the account's eyes.
TYPE_SIGN: Final = {"PRIJEM": 1, "VYDAJ": -1, "VYBER": -1, "credit": 1, "debit": -1, "cash_withdraw": -1}

OPERATION: Final = {
    "": "none",
    "interest_pmt": "none",
    "VKLAD": "deposit",
    "deposit": "deposit",
    "VYBER": "withdrawal",
    "withdraw_cash": "withdrawal",
    "VYBER KARTOU": "card",
    "credit_card_withdrawal": "card",
    "PREVOD Z UCTU": "collection",
    "collection_from_another_bank": "collection",
    "PREVOD NA UCET": "transfer",
    "transer_to_another_bank": "transfer",
}

SYMBOL: Final = {
    "": "none",
    "UROK": "interest",
    "interest_pmt": "interest",
    "SLUZBY": "service",
    "service": "service",
    "SIPO": "household",
    "household": "household",
    "DUCHOD": "pension",
    "pension": "pension",
    "POJISTNE": "insurance",
    "insurrance_pmt": "insurance",
    "UVER": "loan",
    "loan_pmt": "loan",
    "SANKC. UROK": "penalty",
    "interest_for_negetive_balance": "penalty",
}


@dataclass(frozen=True, slots=True)
class Category:
    """One pair of operation and purpose; it stands where a card data set has the MCC."""

    code: int
    operation: str
    symbol: str
    name: str
    l2: int
    l1: int


# l1: 0 cash, 1 money received, 2 money sent, 3 the bank's own postings.
# l2: 0 paid in, 1 withdrawn, 2 paid at the counter, 3 received, 4 sent, 5 household, 6 obligations, 7 interest, 8 charges.
CATEGORIES: Final = (
    Category(1, "deposit", "none", "Cash deposit", 0, 0),
    Category(2, "withdrawal", "none", "Cash withdrawal", 1, 0),
    Category(3, "card", "none", "Cash withdrawal by card", 1, 0),
    Category(4, "withdrawal", "household", "Household payment in cash", 2, 0),
    Category(5, "collection", "none", "Collection from another bank", 3, 1),
    Category(6, "collection", "pension", "Pension received", 3, 1),
    Category(7, "transfer", "none", "Transfer to another bank", 4, 2),
    Category(8, "transfer", "household", "Household payment", 5, 2),
    Category(9, "transfer", "insurance", "Insurance payment", 6, 2),
    Category(10, "transfer", "loan", "Loan payment", 6, 2),
    Category(11, "none", "interest", "Interest credited", 7, 3),
    Category(12, "withdrawal", "service", "Payment for the statement", 8, 3),
    Category(13, "withdrawal", "penalty", "Interest on a negative balance", 8, 3),
)
CATEGORY_CODE: Final = {(category.operation, category.symbol): category.code for category in CATEGORIES}

# Product codes of the data set's YAML, by what dates them.
STATEMENT_PRODUCT: Final = {
    "POPLATEK MESICNE": "monthly_statement",
    "POPLATEK TYDNE": "weekly_statement",
    "POPLATEK PO OBRATU": "statement_per_transaction",
}
CARD_PRODUCT: Final = {"junior": "junior_card", "classic": "classic_card", "gold": "gold_card"}
LOAN_PRODUCT: Final = "loan"
# Held from the month of the first transaction in one of these categories on.
PAYMENT_PRODUCT: Final = {
    "household_payment": (4, 8),
    "insurance_payment": (9,),
    "transfer_out": (7,),
    "pension_receipt": (6,),
}

# Bands that fairness checks compare; wide, so that each holds at least a hundred of the twelve hundred owners.
AGE_BANDS: Final = ((0, "under 30"), (30, "30-44"), (45, "45-59"), (60, "60 and over"))
