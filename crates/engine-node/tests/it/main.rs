//! The one integration test binary of `engine-node`: nodes on both grounds.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod callers;
mod edge;
mod exec;
mod faults;
mod fixture;
mod hardship;
mod images;
mod killed;
mod kubectl;
mod kubelet;
mod lifecycle;
mod limits;
mod logs;
mod network;
mod nodes;
mod objects;
mod plain;
mod registry;
mod rights;
mod roll;
mod sandbox;
mod simulated;
mod soak;
mod troubles;
mod usage;
mod volumes;

/// Cases on the real control plane, or on both grounds.
macro_rules! cases {
    (on $kind:ident as $ground:ident: $($module:ident::$name:ident,)*) => {
        mod $ground {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    crate::$module::$name(foreshore_testkit::cluster::Kind::$kind).await;
                }
            )*
        }
    };
    ($($module:ident::$name:ident,)*) => {
        cases! { on Real as real: $($module::$name,)* }
        cases! { on Engine as engine: $($module::$name,)* }
    };
}

cases! {
    on Engine as engine_only:
    soak::random_kills_lose_no_request_and_leave_nothing_behind,
    nodes::replicas_of_a_lost_node_come_back_elsewhere,
    killed::an_ingress_that_is_killed_comes_back_at_its_place_and_leaks_nothing,
    plain::without_namespaces_pods_serve_on_loopback_and_find_each_other_by_variables,
    plain::without_namespaces_pods_end_restart_and_outlive_their_node,
}

cases! {
    exec::a_program_runs_as_its_container_does_and_tells_its_exit_code,
    exec::a_program_may_have_a_terminal,
    exec::kubectl_runs_programs_and_hears_their_exit_code,
    exec::a_program_ends_with_the_one_who_wanted_it,
    kubectl::kubectl_shows_the_logs_of_every_container_and_of_the_start_before,
    kubectl::kubectl_follows_a_log_to_the_end_of_its_container,
    kubectl::kubectl_gives_a_program_a_terminal,
    kubectl::attach_and_port_forward_are_refused_and_copies_need_tar_in_the_image,
    troubles::kubectl_describes_pods_whose_image_or_program_is_not_there,
    troubles::kubectl_describes_pods_that_end_badly,
    kubectl::what_pods_and_nodes_use_can_be_asked_for,
    images::a_pull_policy_says_when_the_registry_is_asked,
    images::images_that_lie_are_refused_and_harm_nobody,
    images::an_image_damaged_on_disk_is_brought_anew,
    images::images_go_when_the_disk_fills_but_never_one_in_use,
    network::one_service_calls_another_by_every_kind_of_name,
    network::records_of_services_lead_to_the_ports_and_pods_behind_them,
    network::pods_answer_on_node_ports_and_to_datagrams,
    network::an_ingress_streams_switches_protocols_and_has_a_default,
    network::an_ingress_shows_the_certificate_of_its_secret,
    nodes::topology_spread_constraints_hold_over_zones_and_nodes,
    nodes::replicas_keep_to_their_zones_and_leave_a_node_that_is_drained,
    roll::a_rolling_update_loses_no_request,
    roll::an_ingress_that_changes_loses_no_request,
    hardship::a_port_in_use_is_said_in_the_log_of_who_wanted_it,
    hardship::a_container_that_ignores_the_request_to_end_is_killed,
    hardship::a_probe_that_hangs_has_failed_and_holds_nobody_up,
    hardship::a_line_without_end_takes_neither_memory_nor_disk_without_end,
    hardship::escape_sequences_in_a_log_arrive_as_they_were_and_hide_no_line,
    hardship::a_full_disk_is_told_and_the_pods_that_run_go_on,
    volumes::a_mounted_config_map_follows_its_object,
    volumes::memory_volumes_keep_their_limit_and_go_with_the_pod,
    volumes::a_pod_that_outgrows_its_volume_is_evicted,
    volumes::a_claim_leads_to_the_folder_of_its_volume,
    volumes::a_plain_process_says_that_it_goes_without_its_token,
    usage::what_a_pod_uses_is_counted_with_and_without_control_groups,
    limits::a_memory_hog_is_killed_and_said_to_be_so,
    limits::a_fork_bomb_stays_within_its_pod,
    limits::without_control_groups_pods_run_and_say_what_they_go_without,
    limits::control_groups_of_a_pod_that_vanished_meanwhile_are_collected,
    faults::an_image_that_cannot_be_had_is_waited_for_and_named,
    faults::a_missing_config_map_holds_the_container_back_until_it_is_there,
    faults::what_a_plain_process_cannot_honour_is_refused_by_name,
    faults::a_program_that_is_not_in_the_image_is_named,
    faults::a_program_that_cannot_be_started_backs_off_and_is_named,
    faults::pods_outlive_a_killed_node_and_are_looked_after_again,
    faults::a_container_that_ended_while_the_node_was_away_is_restarted,
    faults::a_node_that_was_stopped_in_order_goes_on_with_what_its_pods_had_written,
    lifecycle::a_pod_is_started_probed_served_and_removed,
    lifecycle::restart_policies_decide_what_an_exit_means,
    lifecycle::a_container_that_keeps_crashing_backs_off_and_says_why,
    lifecycle::init_containers_run_to_their_end_one_after_the_other,
    lifecycle::a_liveness_probe_that_fails_restarts_the_container,
    lifecycle::the_environment_comes_from_image_pod_and_objects,
    logs::logs_can_be_cut_to_size,
    logs::a_followed_log_ends_with_its_container,
    logs::the_log_of_the_start_before_is_kept,
    sandbox::a_sandboxed_container_sees_its_image_its_volumes_and_nothing_else,
    sandbox::a_sandboxed_pod_serves_shares_files_and_is_probed_from_inside,
    simulated::one_agent_plays_many_nodes_whose_pods_do_what_their_annotations_say,
}
