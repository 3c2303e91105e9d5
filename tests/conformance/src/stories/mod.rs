//! The stories, by what they are about.

mod addresses;
mod bodies;
mod bulk;
mod cancelling;
mod connections;
mod created;
mod creating;
mod credentials;
mod downloads;
mod ends;
mod envelopes;
mod failures;
mod heygen;
mod hints;
mod hostile;
mod ids;
mod many;
mod missing;
mod presigned;
mod redirects;
mod refusals;
mod results;
mod results_missing;
mod secrets;
mod tracking;
mod trust;

/// Takes the table of stories and makes it this module's face and the macro for drivers; a story that is not in the
/// table is dead code, and the compiler says so. A story that is ahead of the drivers is marked as ignored, with what they
/// owe it. The leading dollar serves the macro within.
macro_rules! stories {
    ($dollar:tt $($module:ident: $($(#[$mark:meta])* $story:ident),+;)+) => {
        $(pub use $module::{$($story),+};)+

        /// Makes every story a `#[test]` of this driver: an expression that is evaluated for each.
        #[macro_export]
        macro_rules! conformance {
            ($dollar driver:expr) => {
                $($(
                    $(#[$mark])*
                    #[test]
                    fn $story() {
                        $dollar crate::tell($dollar crate::stories::$story, $dollar driver);
                    }
                )+)+
            };
        }
    };
}

stories! { $
    ends:
        immediate_success, slow_success, failure_with_its_message, cancelled_job, job_lost_by_its_word,
        unknown_state_goes_on, timeout_has_a_final_look, end_found_by_the_final_look, looks_are_spent;
    failures:
        bad_gateway_then_success, internal_error_then_success, html_page_then_success, truncated_json_then_success,
        garbage_then_success, closed_unanswered_then_success, closed_early_then_success, reset_then_success,
        reset_within_the_body_then_success, failure_budget_spent, good_answer_forgives_failures,
        html_is_never_running, refused_connection, hung_server_ends_with_the_deadline, hung_attempt_is_repeated,
        hung_look_tells_nothing, dripping_answers_are_cut_off;
    hints:
        retry_after_seconds_on_200, retry_after_seconds_on_202, retry_after_seconds_on_429,
        retry_after_seconds_on_503, retry_after_date_on_200, retry_after_date_on_202, retry_after_date_on_429,
        retry_after_date_on_503, retry_after_date_without_the_servers_clock, retry_after_in_milliseconds,
        forbidden_with_retry_after_is_throttled, throttle_silences_the_other_jobs, throttle_past_the_deadline,
        absurd_hints_are_ignored;
    bodies:
        length_that_lies, endless_chunks, compression_bomb, compressed_answer, body_at_the_limit;
    redirects:
        redirect_to_the_same_origin, permanent_redirect_is_remembered, redirect_to_another_origin,
        redirect_to_another_name_of_the_host, accepted_with_a_foreign_location, redirect_loop, redirects_without_end;
    missing:
        not_yet_visible_after_create, not_found_for_ever, not_found_in_between, gone_at_once;
    refusals:
        unauthorized_is_asked_once, client_errors_are_rejected, unauthorized_jobs_are_all_told;
    connections:
        mistake_26_one_connection_for_sequential_looks, connections_are_bounded_by_requests_in_flight,
        idle_connection_closed_by_the_server, idle_connection_closed_when_it_is_used,
        broken_connections_are_not_tried_for_ever;
    many:
        looks_keep_their_rate, creates_have_a_rate_of_their_own, empty_list, duplicate_ids_are_told_once, statuses_look_once_each, slow_job_holds_nobody_up,
        end_without_an_answer_is_told_at_once, stop_in_the_middle, stop_during_hung_requests, drop_in_the_middle,
        resume_from_snapshots, snapshots_join_a_wait, every_true_end_under_faults, metrics_agree_with_the_server;
    creating:
        create_sends_its_body, create_fans_out, create_without_key_is_sent_once,
        create_on_a_used_connection_is_sent_once, create_with_key_is_repeated_under_it,
        create_refused_is_not_repeated, create_follows_no_redirect, create_that_never_left,
        create_that_hangs_is_sent_once, intent_is_carried_out_again_under_its_key,
        intent_that_may_make_a_second_job_is_not_sent, regression_a_seeded_client_drew_one_key_for_all_creates;
    addresses:
        ids_are_percent_encoded, base_url_with_a_path, poll_url_instead_of_an_id, poll_url_of_another_origin;
    secrets:
        debug_hides_the_key, errors_hide_the_key, errors_hide_queries;
    trust:
        created_abroad_by_a_header, created_abroad_by_the_body, created_abroad_by_its_id, created_abroad_with_an_id,
        result_abroad_is_its_address, cancelled_abroad, stored_abroad, spellings_of_an_origin, origin_allowed_by_the_caller,
        origin_allowed_by_the_dialect, https_never_becomes_http, addresses_with_a_password,
        errors_hide_passwords;
    ids:
        ids_that_are_paths, ids_in_a_query, ids_that_are_paths_in_a_query, impossible_ids;
    created:
        preset_azure, preset_azure_without_a_state, created_with_id_and_address, created_without_its_address,
        create_has_fields_and_headers, create_in_progress, create_refused_by_the_envelope, created_in_a_fan, create_answered_too_large,
        create_at_the_base_url;
    results:
        result_in_the_answer, result_is_followed, status_follows_the_result, only_successes_are_followed,
        result_has_a_path, preset_fal, preset_rfc9110, see_other_abroad, result_is_the_whole_answer,
        refined_until_there_is_a_result, refined_for_a_limited_time;
    results_missing:
        result_refused, result_that_comes_later, result_accepted, result_throttled, result_that_hangs,
        result_too_large, result_that_is_no_json, result_redirected, result_outlasts_the_wait, result_after_a_restart, result_of_a_known_end;
    downloads:
        download_carries_no_header, download_follows_redirects_abroad,
        download_of_the_base_address,
        download_stops_at_loops, download_is_exact, download_that_breaks_off, download_of_nothing,
        download_from_nowhere, download_that_hangs, download_into_a_full_disk, download_from_https_to_http;
    cancelling:
        cancel_by_its_path, cancel_by_its_address,
        cancel_by_a_relative_address,
        cancel_what_has_ended, cancel_after_a_failed_look, cancel_what_has_gone_since, cancel_refused,
        cancel_is_repeated, cancel_that_hangs, cancel_follows_no_redirect, cancel_refused_by_the_envelope,
        cancel_without_a_way,
        nothing_else_cancels;
    credentials:
        renewed_once_for_all, late_refusal_of_the_old_key, renewed_again_and_again, new_key_is_refused, source_fails,
        source_fails_once,
        source_gives_nonsense,
        source_panics,
        stop_during_a_renewal, refused_without_a_source, status_renews, create_renews, create_without_a_new_key,
        cancel_renews_at_its_look,
        cancel_renews,
        renewed_on_the_way;
    envelopes:
        api_from_a_file, api_from_a_file_ends, throttled_by_the_envelope, preset_heygen_v2, quota_is_no_throttle,
        unknown_state_is_reported;
    heygen:
        heygen_v3_succeeds, heygen_v3_fails, heygen_v3_loses, heygen_v3_throttles, heygen_v3_cancels,
        heygen_v3_behind_a_gateway, heygen_v3_asks_for_many_at_once, heygen_v3_renews_for_many_at_once,
        heygen_v3_counts_each_request_once;
    bulk:
        lists_in_any_order, lists_that_do_not_exist, lists_that_are_refused, statuses_by_lists;
    tracking:
        a_tracker_wakes_a_job_by_its_id, a_foreign_id_wakes_nobody, a_handle_wakes_its_job,
        jobs_added_while_it_runs, nobody_adds_a_job, jobs_added_too_late_come_back, tracked_jobs_are_jobs_like_others,
        ends_are_told_while_jobs_are_fed, ends_are_told_of_jobs_without_end, fed_twice_is_told_once,
        stop_while_jobs_are_fed;
    presigned:
        signature_is_in_the_result_alone, signature_is_in_no_error,
        signature_of_a_cancellation,
        signature_of_a_download, keys_are_in_no_log;
    hostile:
        hostile_status_lines, hostile_statuses, hostile_headers, endless_heads, endless_informational_answers,
        enormous_heads, one_byte_at_a_time,
        hostile_lengths, bodies_without_a_length, regression_reset_was_taken_for_the_end_of_a_body,
        hostile_transfer_encodings, hostile_chunks, endless_bodies, slow_bodies, bodies_where_none_belongs,
        bombs, corrupt_encodings, odd_encodings, endless_encodings, regression_half_a_body_of_two_members_was_read,
        hostile_contents, enormous_contents, enormous_contents_within_the_usual_limit,
        cut_at_every_byte, cut_at_every_byte_of_chunks, cut_at_every_byte_without_a_length, answers_to_nobody, regression_answer_to_nobody_was_the_next_jobs, servers_that_do_not_speak, server_that_never_accepts,
        create_that_is_not_read, create_that_is_answered_too_soon, servers_that_do_not_speak_tls, tls_that_drips, certificates_that_nobody_trusts,
        mazes, mazes_that_lead_out, addresses_that_smuggle, enormous_addresses, mazes_of_new_addresses,
        success_that_is_taken_back, ends_in_a_list_that_are_taken_back, states_that_flap, lists_of_strangers, answers_about_another_job, regression_first_of_two_contradicting_entries_was_believed, lists_without_end, lists_that_are_too_large;
}
