"""Small files as banks deliver them, for tests of what is guessed from them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from finai_resources.months import Month, month_range

FIRST, LAST = Month.parse("2015-01"), Month.parse("2016-02")


def transactions(customers: int = 5) -> Iterator[tuple[str, str, str, str, str, str]]:
    """Yield id, customer, day, word, amount, category of two transactions a month of each customer."""
    number = 0
    for month in month_range(FIRST, LAST):
        for customer in range(customers):
            for day, word, amount, category in (
                (5, "credit", "1000.50", "salary"),
                (28, "debit", f"{10 + number % 7}.25", "food"),
            ):
                number += 1
                yield (
                    f"T{number:05d}",
                    f"C{customer:03d}",
                    f"{day:02d}.{month.key[5:]}.{month.key[:4]}",
                    word,
                    amount,
                    category,
                )


def two_csv_files(folder: Path) -> tuple[Path, Path]:
    """Write the customers and the transactions of a bank, in two dialects."""
    folder.mkdir(parents=True, exist_ok=True)
    customers, moves = folder / "customers.csv", folder / "transactions.csv"
    lines = ["customer_id;birth_date;sex;income"]
    lines += [f"C{at:03d};{1960 + at}-05-17;{'FM'[at % 2]};{'-999999' if at == 3 else 30000 + at}" for at in range(5)]
    customers.write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = [
        "transaction_id,customer_id,booking_date,direction,amount,category",
        *(",".join(row) for row in transactions()),
    ]
    moves.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return customers, moves


def panel_csv(path: Path) -> Path:
    """Write customers by month with flags of products, as santander's published file has them."""
    lines = ["fecha_dato,ncodpers,sexo,age,antiguedad,renta,ind_cco_fin_ult1,ind_tjcr_fin_ult1,ind_nomina_ult1"]
    for month in month_range(FIRST, LAST):
        for customer in range(6):
            held = int(month.ordinal - FIRST.ordinal > customer)
            income = " NA" if customer == 2 else f"{50_000 + customer}.75"
            flags = f"1,{held},{' NA' if customer == 1 else held}"
            person = f"{15889 + customer},{'VH'[customer % 2]}, {30 + customer}, {customer + 10},{income}"
            lines.append(f"{month.key}-28,{person},{flags}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def aligned_text(path: Path) -> Path:
    """Write purchases in columns that blanks align, without a header, as CDNOW's published file has them."""
    lines = [
        f" {customer:05d} {month.start:%Y%m}{day} {customer % 3 + 1:2d} {7.5 * customer + int(day):7.2f}"
        for month in month_range(FIRST, LAST)
        for customer in range(1, 8)
        for day in ("03", "17")
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def korean_card_files(folder: Path) -> tuple[Path, Path]:
    """Write customers by month with Y and N for each product, and a card system's payments: positive, refunds negative, cp949."""
    folder.mkdir(parents=True, exist_ok=True)
    people, payments = folder / "customers.csv", folder / "card.csv"
    products = ("savings_yn", "정기예금_yn", "적금_yn")
    held = [f"base_date,customer_no,grade,{','.join(products)}"]
    paid = ["승인번호;고객번호;승인일시;승인금액;업종"]
    for month in month_range(Month.parse("2013-07"), LAST):
        for customer in range(6):
            flags = ("Y", "YN"[customer % 2], "N")
            held.append(f"{month.key}-28,{customer:04d},{('일반', '우대')[customer % 2]},{','.join(flags)}")
            for day in range(1, 21):
                amount = -500 if day == 20 and customer == 0 else 1000 + 7 * day
                paid.append(
                    f"A{len(paid):06d};{customer:04d};{month.key}-{day:02d} 09:30:00;{amount};{('여행', '교육')[day % 2]}"
                )
    people.write_text("\n".join(held) + "\n", encoding="utf-8")
    payments.write_text("\n".join(paid) + "\n", encoding="cp949")
    return people, payments
