//! Plans that the program carries.

/// Name, `plan.yaml` and templates of one plan.
pub(crate) struct Shipped {
    pub(crate) name: &'static str,
    pub(crate) file: &'static str,
    pub(crate) templates: &'static [(&'static str, &'static str)],
}

pub(crate) const SHIPPED: &[Shipped] = &[Shipped {
    name: "rust-service",
    file: include_str!("../../../plans/rust-service/plan.yaml"),
    templates: &[
        (
            "deployment.yaml",
            include_str!("../../../plans/rust-service/templates/deployment.yaml"),
        ),
        (
            "ingress.yaml",
            include_str!("../../../plans/rust-service/templates/ingress.yaml"),
        ),
        (
            "service.yaml",
            include_str!("../../../plans/rust-service/templates/service.yaml"),
        ),
        (
            "settings.yaml",
            include_str!("../../../plans/rust-service/templates/settings.yaml"),
        ),
    ],
}];

/// Returns the names of the shipped plans.
pub fn names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|plan| plan.name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_a_shipped_plan_is_carried() {
        let plans = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plans");
        let on_disk: BTreeSet<String> = plans
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(on_disk, names().map(str::to_owned).collect());
        for plan in SHIPPED {
            let templates = plans.join(plan.name).join("templates");
            let on_disk: BTreeSet<String> = templates
                .read_dir()
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            let carried = plan
                .templates
                .iter()
                .map(|(name, _)| (*name).to_owned())
                .collect();
            assert_eq!(on_disk, carried, "{}", plan.name);
        }
    }
}
