"""Sixty queries as analysts of a hospital, a bank or a statistics office write them, over the clinic.

They were written down before anybody looked which of them are answered; only what SQL leaves open, the
order among equals, was settled afterwards. For those that are not,
``REFUSED`` says why.
"""

from __future__ import annotations

QUERIES: tuple[str, ...] = (
    # Buckets and keys.
    (
        "SELECT CASE WHEN age < 18 THEN '0-17' WHEN age < 65 THEN '18-64' ELSE '65+' END AS age_group, COUNT(*) AS patients"
        " FROM patients GROUP BY 1 ORDER BY 1"
    ),
    "SELECT COALESCE(city, 'unknown') AS city, COUNT(*) FROM patients GROUP BY COALESCE(city, 'unknown') ORDER BY 2 DESC, 1",
    "SELECT FLOOR(age / 10) * 10 AS decade, COUNT(*) FROM patients WHERE age IS NOT NULL GROUP BY 1 ORDER BY 1",
    "SELECT width_bucket(bmi, 15, 45, 6) AS bucket, COUNT(*) FROM patients WHERE bmi IS NOT NULL GROUP BY bucket ORDER BY bucket",
    "SELECT UPPER(LEFT(sex, 1)) AS s, COUNT(*) FROM patients GROUP BY UPPER(LEFT(sex, 1))",
    "SELECT age >= 65 AS senior, sex, COUNT(*) FROM patients GROUP BY age >= 65, sex",
    "SELECT CASE sex WHEN 'female' THEN 'F' WHEN 'male' THEN 'M' ELSE '-' END AS g, AVG(age) FROM patients GROUP BY g",
    "SELECT NULLIF(kind, 'remote') AS kind, COUNT(*) FROM visits GROUP BY 1",
    "SELECT sex || ' / ' || CASE WHEN active THEN 'active' ELSE 'left' END AS label, COUNT(*) FROM patients GROUP BY 1",
    (
        "SELECT CASE WHEN cost = 0 THEN 'free' WHEN cost BETWEEN 0.01 AND 99.99 THEN 'low' ELSE 'high' END AS band, COUNT(*), SUM(cost)"
        " FROM visits GROUP BY 1 HAVING COUNT(*) > 0 ORDER BY COUNT(*) DESC"
    ),
    # Conditional aggregates.
    "SELECT COUNT(*) FILTER (WHERE active) AS active, COUNT(*) FILTER (WHERE NOT active) AS left_us FROM patients",
    "SELECT sex, SUM(CASE WHEN active THEN 1 ELSE 0 END) AS active, COUNT(*) AS n FROM patients GROUP BY sex",
    "SELECT kind, ROUND(AVG(cost), 1) AS mean_cost FROM visits GROUP BY kind ORDER BY mean_cost DESC",
    "SELECT ROUND(100.0 * SUM(CASE WHEN diagnosis = 'flu' THEN 1 ELSE 0 END) / COUNT(*), 2) AS flu_percent FROM visits",
    "SELECT sex, AVG(bmi)::numeric(5,1) AS bmi FROM patients WHERE bmi IS NOT NULL GROUP BY sex",
    "SELECT kind, COUNT(DISTINCT patient_id) AS people, COUNT(*) AS visits FROM visits GROUP BY kind",
    "SELECT COUNT(*) * 1.0 / NULLIF(COUNT(DISTINCT patient_id), 0) AS visits_per_patient FROM visits",
    "SELECT kind, MIN(cost), MAX(cost), AVG(cost) FROM visits GROUP BY kind",
    (
        "SELECT sex, percentile_cont(0.25) WITHIN GROUP (ORDER BY age) AS q1, percentile_cont(0.5) WITHIN GROUP (ORDER BY age) AS median,"
        " percentile_cont(0.75) WITHIN GROUP (ORDER BY age) AS q3 FROM patients GROUP BY sex"
    ),
    "SELECT percentile_cont(ARRAY[0.25, 0.5, 0.75]) WITHIN GROUP (ORDER BY cost) FROM visits",
    "SELECT sex, bool_or(active) AS any_active FROM patients GROUP BY sex",
    "SELECT AVG(CASE WHEN kind = 'emergency' THEN cost END) AS emergency_mean FROM visits",
    # Shares, ranks, running totals.
    "SELECT sex, COUNT(*) AS n, ROUND(COUNT(*) * 100.0 / SUM(COUNT(*)) OVER (), 1) AS pct FROM patients GROUP BY sex",
    "SELECT city, COUNT(*) AS n, RANK() OVER (ORDER BY COUNT(*) DESC) AS rnk FROM patients GROUP BY city ORDER BY rnk, city LIMIT 10",
    "SELECT diagnosis, COUNT(*) AS n FROM visits GROUP BY diagnosis ORDER BY n DESC, diagnosis LIMIT 10",
    (
        "SELECT kind, sex, COUNT(*) AS n, ROUND(100.0 * COUNT(*) / SUM(COUNT(*)) OVER (PARTITION BY kind), 1) AS pct"
        " FROM visits v JOIN patients p ON p.id = v.patient_id GROUP BY kind, sex ORDER BY kind, sex"
    ),
    (
        "SELECT * FROM (SELECT kind, diagnosis, COUNT(*) AS n, ROW_NUMBER() OVER (PARTITION BY kind ORDER BY COUNT(*) DESC, diagnosis) AS place"
        " FROM visits GROUP BY kind, diagnosis) t WHERE place <= 3 ORDER BY kind, place"
    ),
    (
        "WITH per AS (SELECT age / 10 AS d, COUNT(*) AS n FROM patients GROUP BY 1)"
        " SELECT d, n, SUM(n) OVER (ORDER BY d) AS running FROM per ORDER BY d"
    ),
    # Time.
    "SELECT date_trunc('month', visited_at) AS month, COUNT(*) FROM visits GROUP BY 1 ORDER BY 1",
    "SELECT EXTRACT(YEAR FROM visited_at) AS y, EXTRACT(MONTH FROM visited_at) AS m, COUNT(*) FROM visits GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT to_char(visited_at, 'YYYY-MM') AS month, COUNT(*) AS n FROM visits GROUP BY 1 ORDER BY 1",
    "SELECT date_part('year', visited_at) AS y, COUNT(*) FROM visits GROUP BY date_part('year', visited_at) ORDER BY 1",
    "SELECT visited_at::date AS day, COUNT(*) FROM visits WHERE visited_at >= '2020-01-01' AND visited_at < '2021-01-01' GROUP BY 1",
    "SELECT COUNT(*) FROM visits WHERE visited_at >= now() - INTERVAL '90 days'",
    "SELECT COUNT(*) FROM visits WHERE visited_at BETWEEN '2020-01-01' AND '2020-12-31'",
    "SELECT to_char(visited_at, 'YYYY-\"Q\"Q') AS quarter, SUM(cost) FROM visits GROUP BY 1 ORDER BY 1",
    "SELECT EXTRACT(YEAR FROM AGE(CURRENT_DATE, born)) AS years, COUNT(*) FROM patients GROUP BY 1",
    "SELECT AVG(EXTRACT(YEAR FROM CURRENT_DATE) - EXTRACT(YEAR FROM born)) FROM patients WHERE born BETWEEN '1900-01-01' AND CURRENT_DATE",
    "SELECT EXTRACT(DOW FROM visited_at) AS weekday, COUNT(*) FROM visits GROUP BY 1 ORDER BY 1",
    (
        "WITH m AS (SELECT date_trunc('month', visited_at) AS month, COUNT(*) AS n FROM visits GROUP BY 1)"
        " SELECT month, n, n - LAG(n) OVER (ORDER BY month) AS change FROM m ORDER BY month"
    ),
    (
        "SELECT 'first half' AS period, COUNT(*) AS n FROM visits WHERE visited_at < '2020-07-01'"
        " UNION ALL SELECT 'second half', COUNT(*) FROM visits WHERE visited_at >= '2020-07-01'"
    ),
    # Joins, lookups, existence.
    "SELECT c.region, COUNT(*) AS patients, AVG(p.age) AS mean_age FROM patients p JOIN cities c ON c.name = p.city GROUP BY c.region ORDER BY c.region",
    "SELECT p.sex, v.kind, SUM(v.cost) AS total FROM patients p INNER JOIN visits v ON v.patient_id = p.id GROUP BY p.sex, v.kind",
    "SELECT p.sex, COUNT(DISTINCT p.id) FROM patients p LEFT JOIN visits v ON v.patient_id = p.id WHERE v.id IS NULL GROUP BY p.sex",
    "SELECT COUNT(*) FROM patients p WHERE EXISTS (SELECT 1 FROM visits v WHERE v.patient_id = p.id AND v.diagnosis ILIKE '%flu%')",
    "SELECT sex, COUNT(*) FROM patients WHERE id NOT IN (SELECT patient_id FROM visits WHERE kind = 'emergency') GROUP BY sex",
    "SELECT COUNT(*) FROM patients WHERE city IN ('Oslo', 'Bergen') AND (name ILIKE 'a%' OR name LIKE '%son%')",
    "SELECT c.region, v.kind, COUNT(*) FROM visits v JOIN patients p ON p.id = v.patient_id LEFT JOIN cities c ON c.name = p.city GROUP BY 1, 2",
    # Per person.
    (
        "SELECT n_visits, COUNT(*) AS patients FROM (SELECT patient_id, COUNT(*) AS n_visits FROM visits GROUP BY patient_id) t"
        " WHERE n_visits <= 10 GROUP BY n_visits ORDER BY n_visits"
    ),
    (
        "WITH t AS (SELECT patient_id, SUM(cost) AS total FROM visits GROUP BY patient_id)"
        " SELECT AVG(total), percentile_cont(0.9) WITHIN GROUP (ORDER BY total) FROM t"
    ),
    "SELECT COUNT(*) FROM (SELECT patient_id FROM visits GROUP BY patient_id HAVING COUNT(*) >= 3) frequent",
    (
        "WITH flags AS (SELECT patient_id, bool_or(kind = 'emergency') AS had, MAX(cost) AS top FROM visits GROUP BY patient_id)"
        " SELECT had, COUNT(*) AS n, AVG(top) AS mean_top FROM flags GROUP BY had"
    ),
    (
        "WITH first AS (SELECT patient_id, MIN(visited_at) AS since FROM visits GROUP BY patient_id)"
        " SELECT date_trunc('year', f.since) AS cohort, COUNT(DISTINCT v.patient_id) AS people FROM first f"
        " JOIN visits v ON v.patient_id = f.patient_id GROUP BY 1 ORDER BY 1"
    ),
    (
        "WITH base AS (SELECT id, sex, age FROM patients WHERE active), spend AS (SELECT patient_id, SUM(cost) AS total FROM visits GROUP BY 1)"
        " SELECT b.sex, COUNT(*) AS n, AVG(COALESCE(s.total, 0)) AS mean FROM base b LEFT JOIN spend s ON s.patient_id = b.id GROUP BY b.sex"
    ),
    "SELECT AVG(gap) FROM (SELECT patient_id, MAX(visited_at)::date - MIN(visited_at)::date AS gap FROM visits GROUP BY patient_id) g",
    # Statistics.
    "SELECT sex, COUNT(*) AS n, AVG(bmi) AS mean, STDDEV(bmi) AS sd, STDDEV(bmi) / SQRT(COUNT(bmi)) AS se FROM patients GROUP BY sex",
    "SELECT CORR(age, bmi) AS r, REGR_SLOPE(bmi, age) AS slope FROM patients",
    "SELECT sex, active, COUNT(*), GROUPING(sex, active) FROM patients GROUP BY ROLLUP (sex, active) ORDER BY 1, 2",
    "SELECT COUNT(*) AS n, (SELECT COUNT(*) FROM visits) AS v, ROUND((SELECT COUNT(*) FROM visits) / COUNT(*)::numeric, 2) AS ratio FROM patients",
    "SELECT kind, SUM(cost) AS total, SUM(cost) / SUM(SUM(cost)) OVER () AS share FROM visits GROUP BY kind HAVING SUM(cost) > 1000 ORDER BY share DESC",
)

REFUSED: dict[str, str] = {
    "SELECT sex, bool_or": "Whether anybody is would be told by one person; a count says how many are.",
    "AVG(EXTRACT(YEAR FROM CURRENT_DATE)": "The owner declared no bounds of the date.",
    "id NOT IN (SELECT patient_id": "A NULL in the list decides over everybody; NOT EXISTS is answered.",
    "AVG(gap)": "The owner declared no bounds of the times.",
}
"""What a query has in it that is refused, and why."""
ANSWERED = tuple(sql for sql in QUERIES if not any(part in sql for part in REFUSED))
