"""The known pitfalls of a Postgres front, each with the tests that watch it.

The list was made before the front was: what goes wrong in those that others built, and went wrong
in a prototype. Nothing is taken off it; a pitfall without a test here is one that nobody watches.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Pitfall:
    number: int
    what: str
    tests: tuple[str, ...]
    """``module::function``, below ``tests``."""


PITFALLS = (
    Pitfall(1, "Skipping up to Sync is a place in the stream, not a time.", (
        "wire.test_protocol::test_an_error_of_ours_skips_to_sync_and_not_beyond",
        "wire.test_protocol::test_an_error_of_the_shadow_before_ours_skips_ours",
    )),
    Pitfall(2, "What the shadow skips is never answered: waiting for it hangs.", (
        "wire.test_protocol::test_what_comes_while_the_shadow_skips_hangs_nobody",
    )),
    Pitfall(3, "Names change only when the shadow agrees.", (
        "wire.test_protocol::test_a_name_that_is_taken_stays_what_it_was",
        "wire.test_protocol::test_a_statement_that_sql_dropped_is_gone",
        "wire.test_protocol::test_a_failed_deallocate_drops_nothing",
    )),
    Pitfall(4, "ReadyForQuery outside of a transaction ends every portal.", (
        "wire.test_protocol::test_ready_without_a_transaction_is_the_end_of_every_portal",
        "wire.test_protocol::test_a_portal_of_a_savepoint_that_was_rolled_back_is_gone",
    )),
    Pitfall(5, "A simple query drops what has no name, and is ignored while skipping.", (
        "wire.test_protocol::test_a_simple_query_drops_what_has_no_name",
        "wire.test_protocol::test_what_comes_while_the_shadow_skips_hangs_nobody",
    )),
    Pitfall(6, "An error of ours fails the transaction, and a savepoint heals it.", (
        "wire.test_answers::test_an_error_of_ours_fails_the_transaction_and_a_savepoint_heals_it",
    )),
    Pitfall(7, "Describing never spends, nor does a second Execute; ROLLBACK gives nothing back.", (
        "wire.test_answers::test_describing_costs_nothing",
        "wire.test_protocol::test_row_limits_suspend_the_portal_and_cost_once",
        "wire.test_answers::test_rollback_gives_nothing_back",
    )),
    Pitfall(8, "LIMIT 0 and WHERE false ask for columns, at no cost.", (
        "wire.test_answers::test_a_probe_gets_its_columns_for_nothing",
    )),
    Pitfall(9, "A cancel reaches what runs, and not what comes next.", (
        "wire.test_sessions::test_a_cancel_reaches_a_question_and_stays_charged",
        "wire.test_sessions::test_a_cancel_when_nothing_runs_does_not_hit_what_comes_next",
        "wire.test_sessions::test_a_cancel_reaches_the_shadow",
        "wire.test_sessions::test_the_secret_of_another_session_cancels_nothing",
    )),
    Pitfall(10, "Tools stop a session by pg_terminate_backend.", (
        "wire.test_sessions::test_tools_stop_their_own_sessions_by_number",
    )),
    Pitfall(11, "COPY (query) TO STDOUT in every format; COPY FROM fails before it begins.", (
        "wire.test_answers::test_copy",
        "wire.test_answers::test_copy_to_us_is_refused_before_anything_is_sent",
    )),
    Pitfall(12, "Cursors and COPY through the extended protocol, with parameters.", (
        "wire.test_answers::test_a_server_side_cursor_of_psycopg_with_parameters",
    )),
    Pitfall(13, "EXPLAIN of a protected query is the quote.", (
        "wire.test_answers::test_explain_is_the_quote",
    )),
    Pitfall(14, "TimeZone, DateStyle and statement_timeout are the session's.", (
        "wire.test_answers::test_dates_as_parameters_mean_the_same_under_every_datestyle",
        "wire.test_answers::test_time_zones",
        "wire.test_sessions::test_statement_timeout_stops_a_question",
    )),
    Pitfall(15, "Other encodings than UTF-8; strings that are not standard.", (
        "wire.test_answers::test_other_encodings",
        "wire.test_answers::test_text_that_is_not_in_its_encoding_is_no_text",
        "wire.test_login::test_settings_that_a_connection_cannot_have",
    )),
    Pitfall(16, "Parsers differ: only SQL of our own runs on the data, and the tripwire is below.", (
        "analyzer.test_agreement::test_the_rest_is_refused_where_it_differs",
        "shadow.test_probes::test_whatever_reads_a_protected_table_trips",
        "shadow.test_classified::test_random_queries_go_where_they_trip_nothing",
    )),
    Pitfall(17, "Plaintext behind SSLRequest ends the session.", (
        "wire.test_login::test_plaintext_behind_the_wish_to_encrypt_ends_it",
    )),
    Pitfall(18, "Lengths, times and numbers of connections are bounded, before and after login.", (
        "wire.test_login::test_what_no_client_says_is_cut_off",
        "wire.test_login::test_a_message_before_the_login_is_short",
        "wire.test_login::test_a_query_before_the_login_is_not_heard",
        "wire.test_login::test_who_never_logs_in_is_cut_off_in_time",
        "wire.test_login::test_one_analyst_has_so_many_connections",
        "wire.test_protocol::test_a_message_that_is_too_long_ends_the_session",
    )),
    Pitfall(19, "SCRAM: unknown users, the empty name, gs2 y, an empty password.", (
        "wire.test_scram::test_without_the_password_nobody_comes_in",
        "wire.test_scram::test_the_user_name_may_be_empty_as_libpq_leaves_it",
        "wire.test_scram::test_a_client_that_could_bind_and_was_not_offered_it_notices_who_is_between",
        "wire.test_login::test_who_does_not_get_in_hears_one_and_the_same",
        "wire.test_login::test_an_empty_password_is_no_way_in",
    )),
    Pitfall(20, "channel_binding=require and sslnegotiation=direct.", (
        "wire.test_login::test_the_ways_in",
    )),
    Pitfall(21, "Startup options carry roles and settings; replication.", (
        "wire.test_login::test_settings_that_a_connection_cannot_have",
        "wire.test_login::test_what_a_connection_cannot_be",
        "wire.test_login::test_a_role_of_the_shadow_is_not_to_be_had",
    )),
    Pitfall(22, "Several statements in one query are one transaction.", (
        "wire.test_answers::test_a_text_of_several_statements_is_one_transaction",
        "wire.test_protocol::test_protected_statements_between_others_in_one_query",
    )),
    Pitfall(23, "Duplicate names, NaN, NULL and every type through the recordset.", (
        "wire.test_recordset::test_every_type_comes_back_as_it_was",
        "wire.test_recordset::test_columns_of_one_name",
    )),
    Pitfall(24, "The shadow of a session dies; a table changes under a prepared statement.", (
        "wire.test_sessions::test_the_shadow_of_a_session_dies",
    )),
    Pitfall(25, "Tools hide tables unless rights look right.", (
        "wire.test_answers::test_tables_look_readable_to_tools",
    )),
)  # fmt: skip


def test_none_is_missing():
    assert [pitfall.number for pitfall in PITFALLS] == list(range(1, 26))


@pytest.mark.parametrize("pitfall", PITFALLS, ids=lambda one: str(one.number))
def test_it_is_watched(pitfall):
    for test in pitfall.tests:
        module, _, function = test.partition("::")
        assert hasattr(import_module(f"tests.{module}"), function), test
