"""GET /v1/datasets and /v1/datasets/{name}: what the data owner declared, for writing SQL."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from analyzer.asks import Ask
from analyzer.bind_relations import view_columns
from analyzer.catalog import Catalog, Column, Most, PrivacyUnit, Table, View
from server.declared import bound_text
from server.replies import number_text
from server.web.authentication import Anybody, security
from server.web.reference import answers
from server.web.services import Services_

router = APIRouter(prefix="/v1/datasets", tags=["datasets"], dependencies=[security])

_SUMMARY = {"name": "clinic", "description": "Visits of 2023.", "tables": ["patients", "visits"]}


@router.get(
    "",
    summary="The data sets that are served",
    responses=answers({"datasets": [_SUMMARY]}, "Names, to be used as `dataset`."),
)
async def datasets(services: Services_, _: Anybody) -> JSONResponse:
    """Declared by the data owners; nothing here comes from the data."""
    served = services.gateway.datasets
    return JSONResponse({"datasets": [_summary(served[name].catalog) for name in sorted(served)]})


@router.get(
    "/{name}",
    summary="Tables, columns, bounds and defaults of a data set",
    responses=answers(
        {
            **_SUMMARY,
            "privacy_units": [{"table": "patients", "key": "id", "within": None}],
            "default_loss": {"epsilon": "0.1", "delta": "0"},
            "tables": [{"name": "patients", "protected": True, "columns": ["..."]}],
            "views": [{"name": "adults", "protected": True, "columns": ["..."]}],
        },
        "Columns with type, clamping bounds and public values; contribution bounds; losses.",
    ),
)
async def dataset(services: Services_, _: Anybody, name: str) -> JSONResponse:
    """All that an analyst may know without asking the data."""
    return JSONResponse(dataset_json(services.gateway.dataset(name).catalog))


def _summary(catalog: Catalog) -> dict[str, Any]:
    return {
        "name": catalog.dataset,
        "description": catalog.description,
        "tables": list(catalog.tables),
    }


def dataset_json(catalog: Catalog) -> dict[str, Any]:
    """A catalog as an analyst may see it: without where the tables really live."""
    return {
        **_summary(catalog),
        "privacy_units": [_unit(unit) for unit in catalog.units],
        "max_rows_contributed": catalog.max_rows_contributed,
        "max_groups_contributed": catalog.max_groups_contributed,
        "default_loss": _parts(catalog.default_ask),
        "max_loss": _parts(catalog.most),
        "policy_version": catalog.version,
        "tables": [_table(table) for table in catalog.tables.values()],
        "views": [_view(view, catalog) for view in catalog.views.values()],
    }


def _unit(unit: PrivacyUnit) -> dict[str, Any]:
    return {
        "table": unit.table,
        "key": unit.key,
        "within": unit.path[-1].table if unit.path else None,
        "max_members_contributed": unit.max_members_contributed,
    }


def _parts(loss: Ask | Most) -> dict[str, str]:
    """What is said of epsilon, rho and delta."""
    said = {part: getattr(loss, part, None) for part in ("epsilon", "rho", "delta")}
    return {part: number_text(value) for part, value in said.items() if value is not None}


def _table(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "description": table.description,
        "protected": table.protected,
        "path_to_unit": [
            {"column": hop.column, "table": hop.table, "key": hop.key} for hop in table.path
        ],
        "unique": [list(key) for key in table.keys],
        "max_rows_contributed": table.max_rows_contributed,
        "max_groups_contributed": table.max_groups_contributed,
        "columns": [_column(column) for column in table.columns.values()],
    }


def _view(view: View, catalog: Catalog) -> dict[str, Any]:
    """A view, with the bounds and values that follow from those of its tables."""
    unit, columns = view_columns(view, catalog)
    return {
        "name": view.name,
        "description": view.description,
        "protected": unit is not None,
        "columns": [_column(column) for column in columns],
    }


def _column(column: Column) -> dict[str, Any]:
    values, source = column.values, column.values_from
    return {
        "name": column.name,
        "type": column.type.value,
        "nullable": column.nullable,
        "description": column.description,
        "lower": bound_text(column.lower, column),
        "upper": bound_text(column.upper, column),
        "values": None if values is None else [_value(value) for value in values],
        "values_from": source and {"table": source.table, "column": source.column},
    }


def _value(value: object) -> object:
    return value if isinstance(value, (bool, int, str)) else str(value)
