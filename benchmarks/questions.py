"""The questions that are measured, one for each form of the emitted SQL, over the NAFLD example."""

from __future__ import annotations

QUESTIONS: dict[str, str] = {
    "one row a person, count": "SELECT count(*) FROM patients",
    "one row a person, by sex": "SELECT sex, count(*), avg(age) FROM patients GROUP BY sex",
    "many rows, no groups": "SELECT count(*), avg(value) FROM labs",
    "many rows, by test": "SELECT test, count(*), avg(value) FROM labs GROUP BY test",
    "many rows, people by test": "SELECT test, count(DISTINCT patient_id) FROM labs GROUP BY test",
    "join, by test and sex": (
        "SELECT l.test, p.sex, avg(l.value) FROM patients p"
        " JOIN labs l ON l.patient_id = p.id GROUP BY l.test, p.sex"
    ),
    "join, 10 % of the rows": (
        "SELECT l.test, avg(l.value) FROM patients p"
        " JOIN labs l ON l.patient_id = p.id WHERE p.age >= 75 GROUP BY l.test"
    ),
    "keys that are not public": "SELECT event, count(*) FROM events GROUP BY event",
    "median": "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY value) FROM labs",
    "rollup": "SELECT test, count(*) FROM labs GROUP BY ROLLUP (test)",
}

TEN_LINES = """SELECT l.test,
       p.sex,
       count(*) AS measurements,
       avg(l.value) AS mean
FROM patients p
JOIN labs l ON l.patient_id = p.id
WHERE p.age BETWEEN 40 AND 70
  AND l.day >= 0
GROUP BY l.test, p.sex
ORDER BY l.test, p.sex"""
"""The query that the time of analysis is stated for."""
