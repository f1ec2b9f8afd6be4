"""asyncpg: always binary, prepares everything, looks types up in the catalogue by itself."""

from __future__ import annotations

import asyncio
import os
from datetime import date
from decimal import Decimal

import asyncpg
from canonical import BY_SEX, CITIES, JOINED, PATIENTS, failed, say


async def connect(**how: object) -> asyncpg.Connection:
    ssl = os.environ["PGSSLMODE"]
    return await asyncpg.connect(ssl=False if ssl == "disable" else ssl, **how)


async def queries(connection: asyncpg.Connection) -> None:
    for text in (PATIENTS, BY_SEX, JOINED, CITIES):
        say(text, [tuple(row.items()) for row in await connection.fetch(text)])
    say("value", await connection.fetchval(PATIENTS))
    say("row", tuple(await connection.fetchrow(BY_SEX)))
    text = "SELECT count(*) FROM patients WHERE age >= $1 AND sex = $2 AND bmi < $3 AND born > $4"
    say("parameters", await connection.fetchval(text, 20, "male", Decimal(60), date(1930, 1, 1)))
    text = "SELECT count(*) FROM patients WHERE sex = ANY($1::text[])"
    try:
        say("an array", await connection.fetchval(text, ["male", "other"]))
    except asyncpg.PostgresError as error:
        failed("an array", error)
    statement = await connection.prepare(
        "SELECT sex, count(*) AS n FROM patients GROUP BY 1 ORDER BY 1"
    )
    say("attributes", [(a.name, a.type.name) for a in statement.get_attributes()])
    say("parameter types", statement.get_parameters())
    say("twice", [await statement.fetch(), await statement.fetch()])
    say(
        "types",
        await connection.fetchrow(
            "SELECT 1::int2 a, 2::int8 b, 1.5::numeric c, 'x'::name d, '{1,2}'::int[] e,"
            " '{\"a\": 1}'::jsonb f, '1 day'::interval g, '[1,3)'::int4range h, row(1, 'a') i"
        ),
    )
    say(
        "a table's row type",
        await connection.fetch("SELECT c FROM cities c ORDER BY c.name LIMIT 1"),
    )


async def cursors(connection: asyncpg.Connection) -> None:
    async with connection.transaction():
        say("cursor", [tuple(row) async for row in connection.cursor(BY_SEX, prefetch=1)])
        cursor = await connection.cursor(BY_SEX)
        say("fetched", (await cursor.fetch(1), await cursor.fetchrow(), await cursor.fetch(5)))


async def transactions(connection: asyncpg.Connection) -> None:
    async with connection.transaction():
        try:
            async with connection.transaction():
                await connection.fetch("SELECT nope FROM patients")
        except asyncpg.PostgresError as error:
            failed("savepoint", error)
        say("recovered", await connection.fetchval(PATIENTS))
    say("in transaction", connection.is_in_transaction())
    for text in ("SELECT 1/0", "SELECT count(*) FROM nowhere", "SELECT count(*) FRM x"):
        try:
            await connection.fetch(text)
        except asyncpg.PostgresError as error:
            failed(text, error)
    try:
        await connection.fetch(
            "SELECT count(*) FROM generate_series(1, 30000) a, generate_series(1, 30000) b",
            timeout=0.3,
        )
    except TimeoutError as error:
        failed("timeout", error)
    say("after it", await connection.fetchval("SELECT 1"))


async def main() -> None:
    connection = await connect()
    say("version", connection.get_server_version())
    say("settings", connection.get_settings().TimeZone)
    await queries(connection)
    await cursors(connection)
    await transactions(connection)
    await connection.execute("SET TimeZone = 'Asia/Tokyo'")
    say("time zone", connection.get_settings().TimeZone)
    await connection.reset()
    say("reset", connection.get_settings().TimeZone)
    async with asyncpg.create_pool(
        ssl=False if os.environ["PGSSLMODE"] == "disable" else "require", min_size=2, max_size=2
    ) as pool:
        say("pool", await asyncio.gather(*[pool.fetchval(PATIENTS) for _ in range(4)]))
    await connection.close()


if __name__ == "__main__":
    asyncio.run(main())
