//! The stories, by what they are about.

mod addresses;
mod bodies;
mod connections;
mod creating;
mod ends;
mod failures;
mod hints;
mod many;
mod missing;
mod redirects;
mod refusals;
mod secrets;

/// Takes the table of stories and makes it this module's face and the macro for drivers; a story that is not in the
/// table is dead code, and the compiler says so. The leading dollar serves the macro within.
macro_rules! stories {
    ($dollar:tt $($module:ident: $($story:ident),+;)+) => {
        $(pub use $module::{$($story),+};)+

        /// Makes every story a `#[test]` of this driver: an expression that is evaluated for each.
        #[macro_export]
        macro_rules! conformance {
            ($dollar driver:expr) => {
                $($(
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
        html_is_never_running, refused_connection, hung_server_ends_with_the_deadline, hung_attempt_is_repeated, hung_look_tells_nothing,
        dripping_answers_are_cut_off;
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
        idle_connection_closed_by_the_server, connection_reset_in_mid_life;
    many:
        empty_list, duplicate_ids_are_told_once, statuses_look_once_each, slow_job_holds_nobody_up, end_without_an_answer_is_told_at_once,
        stop_in_the_middle, stop_during_hung_requests, drop_in_the_middle, resume_from_snapshots, every_true_end_under_faults,
        metrics_agree_with_the_server;
    creating:
        create_sends_its_body, create_fans_out, create_without_key_is_sent_once, create_on_a_used_connection_is_sent_once,
        create_with_key_is_repeated_under_it, create_refused_is_not_repeated, create_follows_no_redirect,
        create_that_never_left, create_that_hangs_is_sent_once;
    addresses:
        ids_are_percent_encoded, base_url_with_a_path, poll_url_instead_of_an_id, poll_url_of_another_origin;
    secrets:
        debug_hides_the_key, errors_hide_the_key, errors_hide_queries;
}
