"""POST /v1/query and POST /v1/quote."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from analyzer.plan import QueryOptions
from server.questions import Question
from server.replies import quote_json
from server.web.authentication import AnalystId, security
from server.web.bodies import Body, Delta, Epsilon, Error, Parameter, Rho, Text, read
from server.web.disconnects import while_connected
from server.web.reference import accepts, answers
from server.web.services import Services_

router = APIRouter(prefix="/v1", tags=["queries"], dependencies=[security])

REQUEST_ID = r"^[!-~]{1,200}$"


class QuestionBody(Body):
    """A question. Only ``sql`` is needed; a loss that is not given is the policy's default."""

    sql: Annotated[Text, Field(description="One SELECT statement, in Postgres' SQL.")]
    parameters: Annotated[
        list[Parameter],
        Field(
            default_factory=list,
            max_length=1000,
            description="The values of $1, $2, ...; dates as strings, arrays as lists.",
        ),
    ]
    dataset: Annotated[
        str | None, Field(description="May be left out where there is only one.")
    ] = None
    epsilon: Annotated[
        Epsilon | None,
        Field(description="What the answer may cost: a decimal number or string, taken exactly."),
    ] = None
    rho: Annotated[
        Rho | None,
        Field(description="In place of epsilon: what the answer may cost in zCDP."),
    ] = None
    error: Annotated[
        Error | None,
        Field(
            description="In place of epsilon: how wide error bars of counts and sums may be, as 500"
            " or 5% of 20000; with 'over 2000 rows' also those of averages."
        ),
    ] = None
    delta: Annotated[Delta | None, Field(description="Goes with any of the three; may be 0.")] = (
        None
    )
    request_id: Annotated[
        str | None,
        Field(
            pattern=REQUEST_ID,
            description="Your own name for this question. Asked again under it, the same question"
            " gets the same stored answer and costs nothing.",
        ),
    ] = None

    max_rows_contributed: Annotated[
        int | None,
        Field(
            description="How many rows of one person count in this answer; more are weighted down."
        ),
    ] = None
    max_groups_contributed: Annotated[
        int | None, Field(description="In how many groups one person counts, for this query.")
    ] = None
    non_negative: Annotated[
        bool, Field(description="Whether noisy counts below zero are shown as zero. Costs nothing.")
    ] = False

    fresh: Annotated[
        bool,
        Field(
            description="Whether to draw and pay anew though the same question was answered before;"
            " for data that has changed since."
        ),
    ] = False

    def question(self) -> Question:
        """As the gateway takes it."""
        return Question(
            sql=self.sql,
            parameters=tuple(self.parameters),
            dataset=self.dataset,
            epsilon=self.epsilon,
            delta=self.delta,
            rho=self.rho,
            error=self.error,
            request_id=self.request_id,
            options=QueryOptions(
                self.max_rows_contributed, self.max_groups_contributed, self.non_negative
            ),
            fresh=self.fresh,
        )


_EXAMPLE = {
    "sql": "SELECT sex, count(*), avg(age) FROM patients WHERE age >= $1 GROUP BY sex",
    "parameters": [40],
    "epsilon": "0.5",
    "request_id": "monday-report-1",
}
_REPLY = {
    "release_id": "7c0f3a52-6e0a-4a8e-9a43-0e2f1d6c9b11",
    "dataset": "clinic",
    "columns": [
        {"name": "sex", "type": "text"},
        {"name": "count", "type": "bigint"},
        {"name": "avg", "type": "numeric"},
    ],
    "rows": [["f", 4213, 58.1352], ["m", 3967, 57.4408]],
    "error_bars": [[None, 12, 0.318], [None, 12, 0.334]],
    "mechanisms": [
        {
            "measures": "count(*)",
            "columns": ["count"],
            "name": "discrete_laplace",
            "scale": 4.0,
            "l1_sensitivity": 1.0,
            "grid": 1.0,
            "error_bar": 12.0,
            "threshold": None,
        },
        {
            "measures": "mean of age",
            "columns": ["avg"],
            "name": "discrete_laplace",
            "scale": 4.0,
            "l1_sensitivity": 1.0,
            "grid": 0.01,
            "error_bar": 11.98,
            "threshold": None,
        },
    ],
    "notices": ["Values of age are kept between 0 and 100."],
    "replayed": False,
    "loss": {"epsilon": "0.5", "delta": "0", "rho": "0.125"},
    "remaining": {
        "analyst": {"epsilon": "9.5", "delta": "1e-6"},
        "dataset": {"epsilon": "49.5", "delta": "1e-5"},
    },
}
_QUOTE = {
    "dataset": "clinic",
    "loss": {"epsilon": "0.5", "delta": "0", "rho": "0.125"},
    "columns": [{"name": "count", "type": "bigint", "noisy": True, "draws": ["count(*)"]}],
    "draws": [
        {
            "label": "count(*)",
            "mechanism": "discrete_laplace",
            "scale": "4",
            "error_bar": "12",
            "confidence": "0.95",
        }
    ],
    "blocks": [
        {
            "keys": {"public": True, "threshold": None},
            "statement": {"sql": "SELECT ...", "parameters": []},
        }
    ],
    "policy_version": "3f1c...",
    "notices": [],
}


@router.post(
    "/query",
    summary="Answer a question with noise, and debit it",
    openapi_extra=accepts(QuestionBody, _EXAMPLE),
    responses=answers(
        _REPLY,
        "The noisy answer. `error_bars` has the shape of `rows`: half-widths at"
        " 95 %, null where a value is exact. The same bytes every time the request_id is repeated;"
        " then with the header `Epsql-Replayed: true`.",
    ),
)
async def query(request: Request, services: Services_, analyst: AnalystId) -> Response:
    """The loss is debited, durably, before the data is asked. A refusal costs nothing. A failure
    after the debit, and a connection that you close meanwhile, stay charged: with a `request_id`
    you can ask for the answer again."""
    body = await read(request, QuestionBody)
    reply = await while_connected(request, services.gateway.query(analyst, body.question()))
    headers = {"Epsql-Replayed": "true"} if reply.replayed else {}
    return _json(reply.body, headers)


@router.post(
    "/quote",
    summary="Say what a question would cost and how exact its answer would be",
    openapi_extra=accepts(QuestionBody, _EXAMPLE),
    responses=answers(
        _QUOTE,
        "The loss, the noise of every draw with its error bar at 95 %, and the statements that"
        " would run, one for each aggregation of the query; or the refusal that the query would"
        " get.",
    ),
)
async def quote(request: Request, services: Services_, analyst: AnalystId) -> Response:
    """Nothing is run and nothing is debited. A quote reads the catalog only, never the data."""
    body = await read(request, QuestionBody)
    plan = await while_connected(request, services.gateway.quote(analyst, body.question()))
    return _json(quote_json(plan), {})


def _json(body: Any, headers: dict[str, str]) -> Response:
    text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(text, media_type=JSONResponse.media_type, headers=headers)
