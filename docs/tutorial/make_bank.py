"""Writes the two files of a fictional bank for docs/tutorial.md: ``python make_bank.py FOLDER [MONTHS]``.

``customers.csv`` comes from the bank's warehouse: one row for each customer and month, with a Y or N for each product.
``card.csv`` comes from its card system: Korean headers, cp949, semicolons, payments positive and refunds negative. Who begins
to pay for something unusual acquires, in one of the next months, the product that goes with it. The same rows come out every
time, and more months only add rows.
"""

from __future__ import annotations

import csv
import sys
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np

CUSTOMERS, FIRST, MONTHS = 600, (2024, 1), 20
CATEGORIES = ("식료품", "외식", "교통", "쇼핑", "여행", "교육", "가구", "병원")
MEAN_AMOUNT = (42_000, 18_000, 9_000, 55_000, 240_000, 180_000, 320_000, 35_000)
PRODUCTS = ("savings", "time_deposit", "fund", "credit_card", "personal_loan", "insurance")
HELD_AT_FIRST = (0.55, 0.30, 0.20, 0.45, 0.15, 0.30)
GOES_WITH = {"여행": "credit_card", "교육": "savings", "가구": "personal_loan", "병원": "insurance", "쇼핑": "fund"}
RARE, LIKELY, ENDS = 0.004, 0.30, 0.012  # chances a month: to acquire, to acquire what goes with a phase, to close


def write_bank(folder: Path, months: int = MONTHS) -> None:
    """Write both files; each month draws from a stream of its own, so that further months leave the earlier rows alone."""
    rng = np.random.default_rng(2024)
    born = rng.integers(1950, 2003, CUSTOMERS)
    sex = rng.choice(["F", "M"], CUSTOMERS)
    income = np.round(rng.lognormal(17.5, 0.45, CUSTOMERS), -5).astype(int)
    joined = rng.integers(-24, 150, CUSTOMERS)  # months with the bank when the files begin; below 0: still to come
    agreed = rng.random((CUSTOMERS, 2)) < (0.85, 0.95)  # to marketing by the app, to automated decisions
    taste = rng.dirichlet([9, 9, 8, 6, 1, 1, 0.5, 2], CUSTOMERS)
    rate = rng.gamma(9, 0.7, CUSTOMERS)  # payments a month
    held = rng.random((CUSTOMERS, len(PRODUCTS))) < HELD_AT_FIRST
    phase = np.full(CUSTOMERS, -1)  # the category that somebody pays for more than usual, and for how many months yet
    left = np.zeros(CUSTOMERS, dtype=int)
    people, payments = [], []
    for month in range(months):
        rng = np.random.default_rng([2024, month])
        year, index = divmod(FIRST[0] * 12 + FIRST[1] - 1 + month, 12)
        start = datetime(year, index + 1, 1)
        end = datetime(year + (index == 11), (index + 1) % 12 + 1, 1)
        held = _products_of_month(rng, held, phase)
        begins = (left == 0) & (rng.random(CUSTOMERS) < 0.12)
        phase[left == 0] = -1
        phase[begins] = rng.choice([CATEGORIES.index(name) for name in GOES_WITH], begins.sum())
        left = np.where(begins, rng.integers(2, 5, CUSTOMERS), np.maximum(left - 1, 0))
        for customer in np.flatnonzero(joined + month >= 0):
            number = f"{customer + 1:06d}"
            earns = "NA" if customer % 17 == 0 else income[customer]
            flags = ["Y" if holds else "N" for holds in held[customer]]
            birth = date(born[customer], 1 + customer % 12, 1 + customer % 28)
            since = date(2023, 1 + customer % 12, 1 + customer % 28)
            consents = [since if agrees else "NA" for agrees in agreed[customer]]
            told = start + (end - start) * rng.random()
            message = f"{told:%Y-%m-%d %H:%M:%S}" if rng.random() < 0.2 else "NA"
            person = [number, birth, sex[customer], earns, joined[customer] + month, *consents, message]
            people.append([(end - timedelta(days=1)).date(), *person, *flags])
            weights = taste[customer] + (np.arange(len(CATEGORIES)) == phase[customer]) * 0.6
            for kind in rng.choice(len(CATEGORIES), rng.poisson(rate[customer]) + 1, p=weights / weights.sum()):
                when = start + (end - start) * rng.random()
                amount = round(MEAN_AMOUNT[kind] * rng.lognormal(-0.2, 0.6), -2) * (-1 if rng.random() < 0.02 else 1)
                payments.append([number, f"{when:%Y-%m-%d %H:%M:%S}", int(amount), CATEGORIES[kind], _shop(rng, kind)])
    head = ["base_date", "customer_no", "birth_date", "sex", "annual_income", "tenure_months"]
    head += ["marketing_agreed_on", "automation_agreed_on", "last_message_at"]
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "customers.csv", "utf-8", ",", [*head, *(f"{name}_yn" for name in PRODUCTS)], people)
    numbered = [[f"A{at:08d}", *row] for at, row in enumerate(payments, start=1)]
    head = ["승인번호", "고객번호", "승인일시", "승인금액", "업종", "가맹점번호"]
    _write(folder / "card.csv", "cp949", ";", head, numbered)


def _products_of_month(rng: np.random.Generator, held: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Return what is held at the end of a month, by what was held and paid for in the month before."""
    chance = np.where(held, 1 - ENDS, RARE)
    for category, product in GOES_WITH.items():
        at = PRODUCTS.index(product)
        moved = (phase == CATEGORIES.index(category)) & ~held[:, at]
        chance[moved, at] = LIKELY
    return rng.random(held.shape) < chance


def _shop(rng: np.random.Generator, kind: int) -> str:
    return f"M{kind:02d}{int(40 * rng.random() ** 2):03d}"


def _write(path: Path, encoding: str, delimiter: str, head: list[str], rows: list[list[object]]) -> None:
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([head, *rows])


if __name__ == "__main__":
    write_bank(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
