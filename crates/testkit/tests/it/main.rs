//! What every Kubernetes API must do, shown on the real one and on the engine.
//!
//! The real one is the oracle: an expectation is written down as it answers.
//! Where the engine still differs, `differences.txt` says so and why; a line
//! of it that no longer holds fails.

#![expect(
    clippy::unwrap_used,
    reason = "all of it is tests, also where it is not marked as such"
)]

mod clients;
mod contract;
mod differences;
mod helm;
mod killed;
mod survival;
mod transcripts;
mod world;

macro_rules! contracts {
    ($($module:ident::$name:ident,)*) => {
        mod real {
            use foreshore_testkit::cluster::Kind;

            #[tokio::test]
            async fn client_go_survives_cut_connections() {
                crate::clients::client_go_survives_cut_connections(Kind::Real).await;
            }

            #[tokio::test]
            async fn a_chart_goes_from_installation_to_removal() {
                crate::helm::a_chart_goes_from_installation_to_removal(Kind::Real).await;
            }
            $(
                #[tokio::test]
                async fn $name() {
                    let world = crate::world::World::new(Kind::Real).await;
                    crate::contract::$module::$name(world).await;
                }
            )*
        }

        mod engine {
            use foreshore_testkit::cluster::Kind;

            #[tokio::test]
            async fn client_go_survives_cut_connections() {
                let contract = crate::clients::client_go_survives_cut_connections(Kind::Engine);
                crate::differences::hold("client_go_survives_cut_connections", contract).await;
            }

            #[tokio::test]
            async fn a_chart_goes_from_installation_to_removal() {
                crate::helm::a_chart_goes_from_installation_to_removal(Kind::Engine).await;
            }
            $(
                #[tokio::test]
                async fn $name() {
                    // The engine must start, whatever contract it keeps then.
                    let world = crate::world::World::new(Kind::Engine).await;
                    let contract = crate::contract::$module::$name(world);
                    crate::differences::hold(stringify!($name), contract).await;
                }
            )*
        }
    };
}

contracts! {
    objects::every_kind_is_created_read_changed_and_deleted,
    objects::a_name_is_taken_once,
    objects::a_body_of_another_kind_or_version_is_refused,
    objects::a_missing_object_is_named_in_the_refusal,
    objects::a_stale_version_conflicts,
    objects::a_generated_name_starts_as_asked,
    objects::a_dry_run_changes_nothing,
    objects::a_wrong_uid_protects_from_deletion,
    objects::a_finalizer_holds_an_object,
    objects::invalid_objects_are_refused_with_every_cause,
    objects::unknown_fields_are_refused_when_asked_for,
    immutable::workloads_keep_what_they_select,
    immutable::stored_things_keep_what_they_are,
    immutable::cluster_wide_things_keep_what_they_are,
    immutable::pods_keep_all_but_a_few_fields,
    lists::labels_and_fields_select,
    lists::long_lists_come_in_pages,
    lists::a_collection_is_deleted_by_label,
    watches::a_watch_tells_of_every_change_in_order,
    watches::a_selecting_watch_sees_objects_enter_and_leave,
    watches::a_watch_list_begins_with_what_is_there,
    patches::a_merge_patch_removes_what_it_nulls,
    patches::a_strategic_patch_merges_containers_by_name,
    patches::a_json_patch_whose_test_fails_changes_nothing,
    patches::a_patch_of_another_type_is_refused,
    apply::applying_twice_changes_nothing,
    apply::a_field_no_longer_applied_goes_away,
    apply::another_managers_field_conflicts_unless_forced,
    apply::two_managers_share_a_list_by_key,
    status::status_and_spec_are_written_apart,
    status::a_deployment_is_scaled,
    cluster::a_service_gets_an_address_of_its_own,
    cluster::a_service_account_gets_a_token_that_names_it,
    cluster::a_namespace_takes_what_is_in_it_along,
    cluster::a_deployment_asks_for_pods,
    workloads::a_stateful_set_makes_its_pods_in_order,
    workloads::a_stateful_set_is_updated_down_to_its_partition,
    workloads::a_daemon_set_puts_one_pod_on_every_node_that_takes_it,
    workloads::a_job_completes_when_its_pods_succeeded,
    workloads::a_job_whose_pod_fails_fails,
    workloads::an_indexed_job_runs_every_index,
    workloads::a_suspended_job_makes_no_pods_until_it_is_resumed,
    workloads::a_cron_job_makes_a_job_when_it_is_due,
    workloads::a_budget_counts_its_pods,
}
