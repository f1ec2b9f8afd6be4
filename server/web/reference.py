"""The reference: pieces of the OpenAPI document, and the page /docs made from it.

The page is written here, on the server, as plain HTML. It loads nothing from anywhere, so it works
where epsql is used: next to a database, often without a network.
"""

from __future__ import annotations

import json
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse

from server.errors import TABLE, Rule
from server.web.bodies import Body

router = APIRouter(include_in_schema=False)

_ERROR = {
    "type": "object",
    "required": ["code", "sqlstate", "message", "detail", "hint", "position"],
    "additionalProperties": False,
    "properties": {
        "code": {"type": "string", "enum": sorted(rule.code for rule in TABLE.values())},
        "sqlstate": {"type": "string", "minLength": 5, "maxLength": 5},
        "message": {"type": "string"},
        "detail": {"type": "string"},
        "hint": {"type": "string"},
        "position": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]},
    },
}


def accepts(model: type[Body], example: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI of a route that reads a body by ``bodies.read``."""
    schema = model.model_json_schema()
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema, "example": example}},
        }
    }


def answers(example: Any, description: str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI of what a route answers: this, or the one shape of errors."""
    return {
        200: {
            "description": description,
            "content": {"application/json": {"example": example, "schema": {}}},
        },
        "default": {
            "description": "Any error.",
            "content": {"application/json": {"schema": _ERROR}},
        },
    }


@router.get("/openapi.json")
async def openapi(request: Request) -> JSONResponse:
    """The OpenAPI document."""
    return JSONResponse(request.app.openapi())


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """The reference for people."""
    return HTMLResponse(
        page(request.app.openapi()),
        headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
    )


_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}"
    "pre{background:#f4f4f4;padding:.7rem;overflow:auto;font-size:14px}"
    "table{border-collapse:collapse;font-size:14px}td,th{border:1px solid #ccc;padding:.2rem .5rem;"
    "text-align:left;vertical-align:top}section{border-top:1px solid #ccc;margin-top:2rem}"
)


def page(document: dict[str, Any]) -> str:
    """An OpenAPI document as one HTML page without scripts."""
    info = document["info"]
    routes = [
        _route(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(info['title'])}</title>"
        f"<style>{_STYLE}</style><h1>{escape(info['title'])} {escape(info['version'])}</h1>"
        f"<p>{escape(info.get('description', ''))}</p>"
        "<p>The same for programs: <a href=/openapi.json>/openapi.json</a>.</p>"
        f"{''.join(routes)}{_errors()}</html>"
    )


def _route(method: str, path: str, operation: dict[str, Any]) -> str:
    parts = [
        f"<section><h2><code>{method.upper()} {escape(path)}</code></h2>",
        f"<p><b>{escape(operation.get('summary', ''))}.</b>",
        f" {escape(operation.get('description', ''))}</p>",
    ]
    fields = [
        (p["name"], p.get("description", ""), p.get("required", False))
        for p in operation.get("parameters", [])
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body:
        schema = body["schema"]
        required = schema.get("required", [])
        fields += [
            (name, field.get("description", ""), name in required)
            for name, field in schema["properties"].items()
        ]
    if fields:
        parts.append(_table(("name", "meaning", "needed"), fields))
    if body:
        parts.append(f"<p>Example:</p>{_code(body['example'])}")
    good = operation["responses"].get("200", {})
    parts.append(f"<p>Answer: {escape(good.get('description', ''))}</p>")
    example = good.get("content", {}).get("application/json", {}).get("example")
    if example is not None:
        parts.append(_code(example))
    return "".join(parts) + "</section>"


def _errors() -> str:
    rules: list[Rule] = sorted(TABLE.values(), key=lambda rule: (rule.status, rule.code))
    rows = [
        (
            rule.code,
            rule.sqlstate,
            rule.status,
            rule.message or "(says what is wrong)",
            rule.charged,
        )
        for rule in rules
    ]
    return (
        "<section><h2>Errors</h2><p>Every error is one JSON object of code, sqlstate, message, "
        "detail, hint and position. A refusal costs nothing.</p>"
        + _table(("code", "sqlstate", "HTTP", "message", "stays charged"), rows)
        + "</section>"
    )


def _table(heads: tuple[str, ...], rows: list[Any]) -> str:
    head = "".join(f"<th>{escape(h)}" for h in heads)
    lines = "".join("<tr>" + "".join(f"<td>{_cell(c)}" for c in row) for row in rows)
    return f"<table><tr>{head}{lines}</table>"


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return escape(str(value))


def _code(value: Any) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"
