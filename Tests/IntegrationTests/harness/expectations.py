"""What each proxy is known to do otherwise, in one place, with the reason.

A test in the table of a peer is expected to fail there (`xfail`). An entry names
a test, or some cases of a parametrised test: `test_name` or `test_name[part of
the id`. An entry that comes true in no case is reported and fails the run.
"""

import pytest

RELAYS = "relays malformed response heads, or takes them for an HTTP/0.9 body"
RESTARTS = "fail_timeout bars an upstream that is back: no live upstreams, 502"
INTERIM = "drops interim answers or falls out of step with them (1.22)"
EARLY = "closes on an error while it writes, before it reads the answer"
STREAMS = "knows no event streams: a stop waits for their end, or cuts them when its time is over"
TUNNELS = "knows no WebSocket frames: a stop waits for their end, or cuts them when its time is over"
NOMINATED = "forwards fields that Connection nominates"

NGINX = {
    "test_101_nobody_asked_for_is_502": "relays a 101 that nobody asked for",
    "test_101_to_what_was_no_websocket_request_is_502": "relays a 101 that nobody asked for",
    "test_absent_reason_is_accepted": "relays a status line without the space",
    "test_absolute_form_with_another_host_field": "the configuration passes $http_host on",
    "test_answer_during_the_upload_reaches_the_client": EARLY,
    "test_any_interim_answers_keep_the_connection_in_step": INTERIM,
    "test_any_token_is_a_name": "takes names with odd token characters for invalid",
    "test_asterisk_form_is_for_options_only": "refuses OPTIONS *",
    "test_bad_name_is_rejected_or_dropped": "takes a line without colon for an empty field",
    "test_bare_line_feed_in_chunked_body_aborts_the_request": "takes a bare LF for CRLF",
    "test_body_cut_by_upstream_is_visible_to_the_client": "closes in order towards HTTP/1.0",
    "test_burst_on_a_full_backlog_is_absorbed": "answers EAGAIN on connect with 502",
    "test_chunked_is_case_insensitive": "doesn't strip HTAB around a value",
    "test_content_length_is_decimal_digits": "doesn't strip HTAB around a value",
    "test_early_answer_reaches_a_client_in_the_middle_of_its_body": EARLY,
    "test_early_hints_are_forwarded_as_interim": INTERIM,
    "test_endless_head_costs_no_memory": "has no limit for chunk extensions",
    "test_event_streams_end_between_two_events": STREAMS,
    "test_expectation_holds_for_large_bodies": INTERIM,
    "test_half_close_of_the_client_is_passed_on": "a half-close ends the tunnel",
    "test_hop_by_hop_field_of_a_response_is_removed": "forwards Upgrade of a plain response",
    "test_hop_by_hop_fields_of_an_interim_answer_are_removed": INTERIM,
    "test_host_name_is_case_insensitive_and_value_is_trimmed": "doesn't strip HTAB",
    "test_http_1_0_client_never_gets_an_interim_answer": INTERIM,
    "test_http_1_0_without_host_gets_one": "the configuration passes $http_host on",
    "test_http_time_outs_do_not_apply_to_a_tunnel": "proxy_read_timeout applies to tunnels",
    "test_idle_connections_that_close_under_load_fail_no_get": RESTARTS,
    "test_invalid_content_length_of_a_response_is_502": "ignores an invalid length",
    "test_invalid_host_is_rejected": "validates little of Host",
    "test_malformed_chunk_aborts_the_request": "reads chunk lines leniently",
    "test_malformed_request_line_is_rejected": "takes HTTP/1.10, and HTTP/0.9 without Host",
    "test_malformed_response_head_is_502": RELAYS,
    "test_method_is_forwarded_unchanged": "refuses methods in lower case and odd tokens",
    "test_mutated_requests": "the configuration passes $http_host on, of HTTP/1.0 none",
    "test_mutated_responses": RELAYS,
    "test_nominated_field_of_a_request_is_removed": NOMINATED,
    "test_nominated_field_of_a_response_is_removed": NOMINATED,
    "test_other_transfer_coding_is_rejected": "reads a CR at the end of a value leniently",
    "test_other_transfer_coding_of_a_response": "ignores unknown transfer codings",
    "test_other_upgrade_is_not_forwarded": "the map looks at Upgrade alone",
    "test_oversized_chunk_parts_are_refused": "has no limit for extensions and trailers",
    "test_oversized_head_is_refused_not_truncated[empty lines": "skips any number of empty lines",
    "test_received_post_is_never_sent_again": "knows POST, LOCK and PATCH as not idempotent only",
    "test_response_byte_by_byte": INTERIM,
    "test_response_trailers_are_kept_as_trailers_or_dropped": "drops trailers",
    "test_rolling_restart_of_real_gunicorns": RESTARTS,
    "test_rolling_restart_under_load": RESTARTS,
    "test_sigterm_closes_websockets": TUNNELS,
    "test_silent_event_stream_does_not_hold_the_stop_up": STREAMS,
    "test_stalled_large_upload_is_ended": "ends a stalled upload without an answer",
    "test_target_is_forwarded_byte_exact": "refuses %00 and paths above the root",
    "test_upstream_cut_at_any_byte": RELAYS,
}

STATUS_LINES = "relays status lines and fields that are not valid"

HAPROXY = {
    "test_101_to_what_was_no_websocket_request_is_502": "looks at Upgrade alone",
    "test_absolute_form_authority_replaces_host": "sends the absolute form on",
    "test_answer_during_the_upload_reaches_the_client": EARLY,
    "test_asterisk_form_is_for_options_only": "forwards * with any method",
    "test_bare_line_feed_in_chunked_body_aborts_the_request": "takes a bare LF for CRLF",
    "test_broken_chunked_body_is_visible_to_the_client": "relays NUL in trailers",
    "test_burst_on_a_full_backlog_is_absorbed": "answers with 503 after its retries on EAGAIN",
    "test_connect_is_refused": "goes on with the next request after a denied CONNECT",
    "test_control_character_in_target_is_rejected[127": "accepts DEL in a target",
    "test_early_answer_reaches_a_client_in_the_middle_of_its_body": EARLY,
    "test_empty_list_elements_are_ignored_or_rejected": "takes an empty element for an unknown coding, 422",
    "test_event_streams_end_between_two_events": STREAMS,
    "test_failing_upstream_gets_less": "a request that is sent again counts as no failure",
    "test_folded_framing_field_is_rejected_or_taken_whole": "appends a fold to Host",
    "test_handshake_is_forwarded[x,": "keeps the other elements of Connection",
    "test_hop_by_hop_fields_of_an_interim_answer_are_removed": NOMINATED,
    "test_http_1_0_client_never_gets_an_interim_answer": "sends 1xx to HTTP/1.0 clients",
    "test_http_1_0_client_never_gets_transfer_encoding": "sends chunked to HTTP/1.0 clients",
    "test_http_1_0_without_host_gets_one": "adds no Host",
    "test_invalid_host_is_rejected": "doesn't validate Host (2.6)",
    "test_malformed_authority_is_rejected": "doesn't validate an authority",
    "test_malformed_chunk_aborts_the_request": "takes a bare LF for CRLF",
    "test_malformed_content_length_is_rejected": "forwards a length of 2 to the power of 64",
    "test_malformed_response_head_is_502": STATUS_LINES,
    "test_malformed_trailer_is_rejected_or_dropped": "doesn't validate trailers",
    "test_mutated_requests": "forwards NUL, and requests without Host",
    "test_mutated_responses": STATUS_LINES,
    "test_name_that_collides_after_mapping_is_dropped_or_refused": "keeps names with underscores",
    "test_no_host_or_several_are_rejected": "accepts no Host, and the same one twice",
    "test_nominated_field_of_a_request_is_removed": NOMINATED,
    "test_nominated_field_of_a_response_is_removed": NOMINATED,
    "test_nul_and_cr_never_go_upstream": "forwards NUL in values (2.6)",
    "test_old_upstream_is_understood": "answers with the version of upstream",
    "test_other_transfer_coding_is_rejected": "answers 422",
    "test_other_upgrade_is_not_forwarded": "looks at Upgrade alone",
    "test_other_version_is_rejected": "takes any HTTP/DIGIT.DIGIT",
    "test_post_on_a_reused_connection_that_ends_is_not_sent_again": "closes without an answer",
    "test_rejection_in_a_pipeline_follows_the_answers_before_it": "accepts a request without Host",
    "test_rolling_restart_of_real_gunicorns": "closes without an answer when a kept connection ends",
    "test_rolling_restart_under_load": "503 until its check sees that an upstream is back",
    "test_several_transfer_codings_are_rejected": "answers 422",
    "test_sigterm_closes_websockets": TUNNELS,
    "test_sigterm_finishes_what_is_in_flight": "ends only when the client closes its connection",
    "test_silent_event_stream_does_not_hold_the_stop_up": STREAMS,
    "test_stalled_body_is_ended_and_upstream_released": "waits for upstream when a body stalls",
    "test_stalled_large_upload_is_ended": "has no answer for a stalled upload within the time-out",
    "test_target_of_no_form_is_rejected": "accepts * with more behind it",
    "test_upstream_cut_at_any_byte": STATUS_LINES,
    "test_upstream_is_spoken_to_in_http_1_1": "passes HTTP/1.0 on",
    "test_upstream_that_fails_within_a_large_body_is_told": "closes without an answer",
    "test_upstream_that_takes_nothing_of_an_upload_is_given_up": "closes without an answer",
    "test_waiting_client_gets_100_when_upstream_ignores_expect": "leaves 100 to upstream",
}

# Chance decides whether these fail in a run, so that none of them is ever stale.
BY_CHANCE = {
    "test_answer_during_the_upload_reaches_the_client", "test_mutated_requests",
    "test_early_answer_reaches_a_client_in_the_middle_of_its_body",
    "test_upstream_that_takes_nothing_of_an_upload_is_given_up",
    "test_mutated_responses", "test_rolling_restart_of_real_gunicorns",
    "test_rolling_restart_under_load", "test_idle_connections_that_close_under_load_fail_no_get",
}

TABLES = {"galaxy-lb": {}, "nginx": NGINX, "haproxy": HAPROXY}


class Expectations:
    """The entries for one proxy, and which of them came true."""

    def __init__(self, proxy):
        self.table = TABLES[proxy]
        self.seen = set()
        self.held = set()

    def entry(self, name):
        """The entry that the test with this name falls under, or None."""
        function, _, case = name.partition("[")
        for entry in self.table:
            test, _, part = entry.partition("[")
            if function == test and part in case:
                return entry
        return None

    def mark(self, item):
        """Expects the test to fail where the table says so."""
        if entry := self.entry(item.name):
            item.add_marker(pytest.mark.xfail(reason=self.table[entry], strict=False))

    def record(self, name, failed):
        """Takes note of the outcome of a test."""
        if entry := self.entry(name):
            self.seen.add(entry)
            if failed:
                self.held.add(entry)

    def stale(self):
        """The entries that were tried and failed in no case."""
        return sorted(self.seen - self.held - BY_CHANCE)
