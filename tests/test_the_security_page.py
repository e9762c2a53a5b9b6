"""What SECURITY.md promises is held against tests: a promise without one, or a test that is gone, is noticed here."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROMISES = {
    "Keys": (
        "api/test_secrets_stay_secret.py::test_no_key_is_logged_or_answered_whatever_goes_wrong",
        "api/test_secrets_stay_secret.py::test_the_data_folder_holds_no_key",
        "tools/test_serve.py::test_it_says_where_it_listens_and_in_which_files_secrets_are",
        "tools/test_serve.py::test_a_link_goes_with_its_time_and_a_secret_replaces_what_lies_in_its_place",
        "api/test_keys_open_one_app.py::test_no_key_sees_or_changes_another_app_on_any_route",
        "api/test_keys_open_one_app.py::test_a_read_only_key_changes_nothing_on_any_route",
        "index/test_store.py::test_an_id_reaches_its_app_whatever_others_are_named",
        "api/test_slow_clients.py::test_who_has_no_key_is_answered_before_the_body_and_cut_off_behind_the_answer",
    ),
    "Hosted pictures": (
        "api/test_keys_open_one_app.py::test_the_address_of_a_hosted_picture_is_of_no_use_in_another_app",
        "api/test_observing.py::test_nothing_that_needs_no_key_tells_half_of_the_address_of_a_picture",
        "api/test_hostile_uploads.py::test_a_polyglot_is_served_as_the_picture_that_it_is_and_runs_nowhere",
    ),
    "Base workflows": (
        "api/test_base_workflow.py::test_a_key_of_an_app_names_no_files_and_no_downloads_of_the_server",
        "api/test_base_workflow.py::test_a_comparison_by_the_app_s_own_key_downloads_nothing",
    ),
    "Pictures by URL": (
        "api/test_fetch_is_guarded.py::test_a_host_is_refused_unless_each_of_its_addresses_is_public",
        "api/test_fetch_is_guarded.py::test_a_name_is_resolved_once_so_that_rebinding_changes_nothing",
        "api/test_fetch_is_guarded.py::test_each_redirect_is_checked_anew",
        "api/test_fetch_is_guarded.py::test_cookies_and_secrets_are_not_carried_along_redirects",
        "api/test_fetch_is_guarded.py::test_what_is_no_plain_url_is_not_even_resolved",
        "api/test_fetch_is_guarded.py::test_a_slow_drip_ends_with_the_time",
        "api/test_fetch_is_guarded.py::test_more_bytes_than_allowed_are_refused_packed_ones_counted_unpacked",
        "api/test_fetch_is_guarded.py::test_the_content_decides_not_what_it_is_called",
        "api/test_fetch_is_guarded.py::test_a_machine_s_own_public_address_is_refused",
        "api/test_fetch_is_guarded.py::test_metadata_and_what_is_nobody_s_stay_closed_even_with_private_urls_allowed",
        "api/test_pictures_by_url.py::test_a_server_may_fetch_nothing_at_all",
    ),
    "Pictures": (
        "embeddings/test_hostile_pictures.py::test_what_is_none_is_refused_in_one_line",
        "embeddings/test_hostile_pictures.py::test_a_limit_of_pixels_is_kept",
        "embeddings/test_hostile_pictures.py::test_a_decoder_has_no_secrets_of_the_environment",
        "embeddings/test_hostile_pictures.py::test_a_crash_costs_one_picture",
        "embeddings/test_hostile_pictures.py::test_a_hang_costs_one_picture_and_the_time_allowed",
        "api/test_hostile_uploads.py::test_a_dying_decoder_costs_the_service_nothing",
    ),
    "Archives": (
        "index/test_nothing_from_an_archive_is_believed.py::test_an_app_s_id_has_a_form_or_is_made_anew",
        "index/test_nothing_from_an_archive_is_believed.py::test_a_row_is_refused_with",
        "index/test_nothing_from_an_archive_is_believed.py::test_vectors_of_an_archive_are_believed_by_no_other_app",
        "index/test_nothing_from_an_archive_is_believed.py::test_a_predictor_is_refused_with",
        "index/test_nothing_from_an_archive_is_believed.py::test_a_tar_is_refused_with",
        "index/test_nothing_from_an_archive_is_believed.py::test_a_folder_has_regular_files_inside_of_it_alone",
        "index/test_nothing_from_an_archive_is_believed.py::test_a_parquet_bomb_costs_little_memory",
        "index/test_an_import_is_whole_or_not_there.py::test_nobody_sees_an_app_that_is_not_whole",
        "index/test_an_import_is_whole_or_not_there.py::test_whatever_fails_leaves_nothing",
        "index/test_an_import_is_whole_or_not_there.py::test_what_was_broken_off_goes_on",
        "index/test_an_import_is_whole_or_not_there.py::test_one_import_at_a_time",
        "fuzz/test_archives.py::test_no_mutated_export_breaks_a_route_or_leaves_anything",
        "tools/test_imports_stay_inside.py::test_a_table_names_files_in_the_folder",
    ),
    "Paths": (
        "index/test_nothing_strange_is_removed.py::test_an_app_id_that_tenshot_never_gave_is_no_path",
        "index/test_nothing_strange_is_removed.py::test_a_hash_that_tenshot_never_wrote_is_no_path",
        "index/test_nothing_strange_is_removed.py::test_what_strangers_keep_among_collections_stays",
        "index/test_blobs.py::test_nothing_is_deleted_behind_a_link",
        "index/test_hostile_backups.py::test_a_database_that_tenshot_did_not_write_is_refused",
        "index/test_hostile_backups.py::test_files_of_other_kinds_are_refused_and_not_waited_for",
    ),
    "The data folder": ("index/test_data_folders_are_private.py::test_what_is_made_is_private",),
    "Load": (
        "api/test_observing.py::test_more_at_once_than_allowed_are_told_to_wait_while_health_answers",
        "api/test_overload.py::test_bodies_that_are_too_large_together_are_told_to_come_later",
        "api/test_overload.py::test_a_body_that_says_it_is_too_large_is_refused_before_it_comes",
        "api/test_rates.py::test_a_key_that_asks_too_often_is_told_when_to_come_again_and_others_are_not",
        "api/test_slow_clients.py::test_one_key_leaves_the_last_quarter_of_the_slots_to_those_that_hold_few",
        "api/test_slow_clients.py::test_sign_ins_that_never_end_take_nothing_from_keys_nor_from_pictures",
        "api/test_slow_clients.py::test_uploads_of_one_key_that_never_end_leave_slots_for_other_keys",
        "api/test_slow_clients.py::test_a_body_that_stops_coming_is_refused_whatever_was_declared",
        "api/test_bodies_are_bounded.py"
        "::test_a_compressed_body_is_refused_with_words_and_what_is_not_compressed_is_read",
        "api/test_nobody_waits_for_anothers_urls.py::test_requests_that_wait_for_silent_urls_keep_no_other_waiting",
        "api/test_nobody_waits_for_anothers_urls.py"
        "::test_who_hangs_up_while_its_picture_is_fetched_gives_its_place_back",
        "api/test_nobody_is_evaluated_for_in_vain.py"
        "::test_an_app_has_one_evaluation_at_a_time_and_another_app_has_the_other_thread",
        "api/test_nobody_is_evaluated_for_in_vain.py::test_who_leaves_meanwhile_is_evaluated_for_no_longer",
        "api/test_slow_readers.py::test_every_answer_must_be_taken_and_its_slot_comes_back",
        "api/test_slow_readers.py::test_exports_that_nobody_reads_are_cut_and_others_are_served_all_the_while",
        "index/test_an_export_holds_one_moment.py::test_the_log_of_the_database_does_not_grow_while_an_export_is_read",
    ),
    "Bodies": (
        "api/test_bodies_are_bounded.py::test_every_list_mapping_and_text_of_a_body_has_a_greatest_length",
        "api/test_bodies_are_bounded.py::test_the_openapi_document_tells_these_lengths",
        "api/test_bodies_are_bounded.py"
        "::test_a_body_of_more_parts_than_any_request_needs_is_refused_before_it_is_parsed",
        "api/test_bodies_are_bounded.py::test_what_comes_behind_the_first_wrong_item_of_a_list_is_not_looked_at",
        "api/test_bodies_are_bounded.py::test_free_json_is_bounded_everywhere",
        "fuzz/test_bodies.py::test_no_body_with_long_lists_gets_a_server_error_or_much_memory",
    ),
    "Browsers": (
        "api/test_browsers.py::test_pages_of_other_origins_may_not_ask_unless_they_are_named",
        "api/test_browsers.py::test_every_answer_has_the_headers_errors_too",
        "api/test_the_page_is_served.py::test_the_root_is_the_page_under_a_strict_policy",
        "page/test_the_api_page.py::test_operations_are_shown_and_one_is_tried_with_a_key_that_nothing_keeps",
    ),
    "Errors": ("api/test_secrets_stay_secret.py::test_no_key_is_logged_or_answered_whatever_goes_wrong",),
}


def test_each_promise_has_tests() -> None:
    page = (ROOT / "SECURITY.md").read_text()
    promised = page[page.index("## What is promised") : page.index("## What is not promised")]
    assert re.findall(r"^\*\*([A-Z][^*.]*)\.?\*\*", promised, re.MULTILINE) == list(PROMISES)


@pytest.mark.parametrize("test", sorted({test for tests in PROMISES.values() for test in tests}))
def test_the_test_of_a_promise_is_there(test: str) -> None:
    file, _, name = test.partition("::")
    tree = ast.parse((ROOT / "tests" / file).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
