//! The agent against each Kubernetes API, with pods whose fate the test decides.
#![expect(
    clippy::unwrap_used,
    reason = "all of it is tests, also where it is not marked as such"
)]

mod cluster;
mod faults;
mod hooks;
mod install;
mod kill;
mod leads;
mod nodes;
mod operations;
mod ordering;
mod reporting;
mod repository;
mod rollouts;
mod rules;
mod scene;
mod trouble;
mod wire;

/// Every story is told on both grounds.
macro_rules! stories {
    ($($module:ident::$name:ident,)*) => {
        mod real {
            $(
                #[tokio::test]
                async fn $name() {
                    crate::$module::$name(foreshore_testkit::cluster::Kind::Real).await;
                }
            )*
        }

        mod engine {
            $(
                #[tokio::test]
                async fn $name() {
                    crate::$module::$name(foreshore_testkit::cluster::Kind::Engine).await;
                }
            )*
        }
    };
}

stories! {
    rollouts::a_release_is_written_marked_remembered_and_healthy,
    rollouts::what_did_not_change_costs_no_request,
    rollouts::one_bad_object_keeps_the_whole_set_from_being_written,
    rollouts::unknown_fields_and_kinds_are_named,
    rollouts::a_broken_release_is_told_with_container_and_code_and_a_rollback_heals_it,
    rollouts::the_last_log_lines_of_the_run_that_ended_come_with_the_failure,
    rollouts::a_newer_release_takes_the_place_of_one_that_waits,
    rollouts::what_a_release_lost_goes_once_it_is_healthy_and_nothing_else,
    rollouts::an_object_of_another_service_is_not_taken,
    rollouts::an_empty_release_and_a_large_removal_change_nothing,
    rollouts::drift_is_told_and_put_right,
    rollouts::fields_that_are_not_ours_may_change,
    rollouts::replicas_come_from_operations_and_a_pause_holds_everything,
    rollouts::a_retired_service_leaves_nothing_and_says_so,
    rollouts::a_service_removed_while_nobody_watched_is_retired_at_the_next_start,
    rollouts::all_services_vanishing_at_once_removes_none,
    rollouts::a_panic_in_one_service_does_not_touch_another,
    kill::a_kill_before_or_after_any_request_of_a_release_loses_and_doubles_nothing,
    kill::a_kill_in_the_middle_of_a_retirement_leaves_nothing_behind,
    faults::refusals_of_every_other_request_only_cost_time,
    faults::an_inventory_that_cannot_be_read_stops_everything,
    faults::a_right_that_is_missing_is_named_and_the_release_goes_on_when_it_is_given,
    operations::a_floor_holds_between_its_moments_and_then_lets_go,
    operations::a_floor_moves_the_bounds_of_an_autoscaler_and_is_no_drift,
    operations::operations_are_told_once_they_are_carried_out,
    operations::an_autoscaler_gets_the_bounds_that_people_set,
    rules::what_keeps_data_goes_only_when_a_person_has_named_it,
    rules::a_folder_that_is_gone_without_a_word_removes_nothing,
    rules::drift_is_only_told_where_the_environment_asks_for_that,
    rules::objects_are_written_as_the_account_of_the_namespace,
    rules::a_site_waits_for_the_one_before_it,
    rules::an_open_request_is_tried_on_the_cluster_and_told,
    leads::one_of_two_agents_works_and_the_other_follows_when_it_is_killed,
    leads::a_leader_that_is_cut_off_is_followed_and_writes_nothing_when_it_is_back,
    leads::an_agent_that_stops_gives_the_lead_back_at_once,
    ordering::services_are_written_in_the_order_of_their_dependencies,
    ordering::a_dependency_that_fails_holds_its_dependants_back_and_nobody_else,
    ordering::services_in_a_circle_are_written_and_the_circle_is_named,
    hooks::a_hook_runs_before_the_release_once_and_is_cleaned_up,
    hooks::a_hook_that_fails_stops_the_release_and_is_not_run_again,
    hooks::a_hook_that_does_not_end_is_ended_by_its_deadline,
    hooks::a_hook_after_the_release_comes_once_it_is_healthy,
    hooks::a_hook_outlives_the_agent_that_started_it,
    install::each_right_is_needed_for_just_what_the_page_says,
    trouble::a_frozen_repository_is_an_alarm_and_what_runs_is_kept,
    trouble::without_the_git_host_what_was_brought_is_kept_and_healed,
    trouble::answers_that_never_come_lose_and_double_nothing,
    trouble::watches_that_come_too_late_list_anew_and_delete_nothing,
    trouble::a_field_that_cannot_change_is_named_and_not_tried_in_a_circle,
    trouble::a_kind_that_cannot_be_discovered_is_unknown_and_not_gone,
    trouble::an_object_that_is_held_by_a_finalizer_holds_nobody_else,
    trouble::a_fight_over_an_object_is_named_and_ends,
    reporting::outcomes_wait_for_the_server_and_arrive_once_each,
    reporting::a_hint_makes_the_agent_look_long_before_its_poll,
}
