//! Stories recorded from a real API server, replayed through the engine's own
//! functions, and the properties every merge must have.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod properties;
mod replay;
mod server;

macro_rules! stories {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                replay::check(include_str!(concat!("../golden/", stringify!($name), ".json")));
            }
        )*
    };
}

stories!(
    atomic_and_granular,
    before_first_apply,
    create_by_apply,
    duplicates_in_the_live_object,
    list_order,
    migration_from_client_side,
    nulls_and_empties,
    ownership_basics,
    pod_defaults_and_admission,
    refused_configurations,
    status_is_apart,
    strategic_patches,
    update_managers_are_capped,
    writes_without_effect,
);
