"""The questions in SQL, one for each family of formulas; :mod:`finai_checks.labels.statements` names their parameters."""

# ruff: noqa: S608 - constants that are joined to constants

_CUSTOMERS = "customers AS (SELECT customer_id FROM raw.snapshots WHERE month = $of)"
_HOLDINGS = f"""WITH {_CUSTOMERS},
current AS (SELECT DISTINCT customer_id, unnest(held) AS product FROM raw.snapshots WHERE month = $now),
later AS (SELECT DISTINCT customer_id, unnest(held) AS product FROM raw.snapshots WHERE month = $end)"""
_ACQUIRED = f"{_HOLDINGS}, acquired AS (FROM later EXCEPT FROM current)"

CHURN = f"""WITH {_CUSTOMERS},
history AS (SELECT customer_id, count(*) AS months, sum(len(list_distinct(held))) AS products
            FROM raw.snapshots WHERE month BETWEEN $first AND $now GROUP BY customer_id),
later AS (SELECT customer_id, len(list_distinct(held)) AS products FROM raw.snapshots WHERE month = $end)
SELECT customer_id, CASE WHEN history.products > 0
       THEN $whole * coalesce(later.products, 0) * history.months < $part * history.products END AS label
FROM customers LEFT JOIN history USING (customer_id) LEFT JOIN later USING (customer_id)"""
STABILITY = f"""{_HOLDINGS},
kept AS (SELECT customer_id, count(*) AS products FROM (FROM current INTERSECT FROM later) GROUP BY customer_id),
ever AS (SELECT customer_id, count(*) AS products FROM (FROM current UNION FROM later) GROUP BY customer_id)
SELECT customer_id, CASE WHEN ever.products > 0
       THEN coalesce(kept.products, 0)::DOUBLE / ever.products::DOUBLE END AS label
FROM customers LEFT JOIN kept USING (customer_id) LEFT JOIN ever USING (customer_id)"""
FIRST_FAMILY = f"""{_ACQUIRED}
SELECT customer_id, coalesce(list_extract($family_of::INTEGER[], min(product)::INTEGER + 1), 0) AS label
FROM customers LEFT JOIN acquired USING (customer_id) GROUP BY customer_id"""
ACQUISITIONS = f"""{_ACQUIRED}
SELECT customer_id, count(product) AS label FROM customers LEFT JOIN acquired USING (customer_id) GROUP BY customer_id"""
ANY_OF_SET = f"""{_ACQUIRED}
SELECT customer_id, count(product) FILTER (list_contains($members::INTEGER[], product::INTEGER)) > 0 AS label
FROM customers LEFT JOIN acquired USING (customer_id) GROUP BY customer_id"""
FIRST_MCC = f"""WITH {_CUSTOMERS},
spent AS (SELECT customer_id, first(mcc ORDER BY ts, mcc) AS mcc FROM raw.transactions
          WHERE ts >= $begin AND ts < $until GROUP BY customer_id)
SELECT customer_id, mcc AS label FROM customers LEFT JOIN spent USING (customer_id)"""
DIVERSITY = f"""WITH {_CUSTOMERS},
spent AS (SELECT customer_id, count(DISTINCT mcc) FILTER (ts < $begin) AS before,
                 count(DISTINCT mcc) FILTER (ts >= $begin) AS after
          FROM raw.transactions WHERE ts >= $since AND ts < $until GROUP BY customer_id)
SELECT customer_id, (coalesce(after, 0) - coalesce(before, 0))::DOUBLE / greatest(1, coalesce(before, 0))::DOUBLE AS label
FROM customers LEFT JOIN spent USING (customer_id)"""
TOP_SHIFT = f"""WITH {_CUSTOMERS},
counted AS (SELECT customer_id, ts >= $begin AS after, mcc, count(*) AS lines FROM raw.transactions
            WHERE ts >= $since AND ts < $until GROUP BY ALL),
top AS (SELECT customer_id, first(mcc ORDER BY lines DESC, mcc) FILTER (NOT after) AS before,
               first(mcc ORDER BY lines DESC, mcc) FILTER (after) AS after FROM counted GROUP BY customer_id)
SELECT customer_id, before != after AS label FROM customers LEFT JOIN top USING (customer_id)"""
SEGMENT = f"""WITH {_CUSTOMERS},
later AS (SELECT customer_id, segment FROM raw.snapshots WHERE month = $end)
SELECT customer_id, nullif(list_position($segments::VARCHAR[], segment), 0) - 1 AS label
FROM customers LEFT JOIN later USING (customer_id)"""
