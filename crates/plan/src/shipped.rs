//! Plans that the program carries.

use crate::content::{Content, ContentError, File};

/// Name and files of one plan.
pub(crate) struct Shipped {
    pub(crate) name: &'static str,
    /// Path and text, `templates/deployment.yaml`.
    files: &'static [(&'static str, &'static str)],
}

impl Shipped {
    pub(crate) fn content(&self) -> Result<Content, ContentError> {
        let mut content = Content::default();
        for (path, text) in self.files {
            let bytes = text.as_bytes().to_vec();
            content.add(
                path,
                File {
                    bytes,
                    executable: false,
                },
            )?;
        }
        Ok(content)
    }
}

macro_rules! shipped {
    ($name:literal: $($file:literal),+ $(,)?) => {
        Shipped {
            name: $name,
            files: &[$((
                $file,
                include_str!(concat!("../../../plans/", $name, "/", $file)),
            )),+],
        }
    };
}

pub(crate) const SHIPPED: &[Shipped] = &[
    shipped!("container":
        "plan.yaml",
        "templates/autoscaler.yaml",
        "templates/budget.yaml",
        "templates/deployment.yaml",
        "templates/ingress.yaml",
        "templates/secrets.yaml",
        "templates/service.yaml",
        "templates/settings.yaml",
    ),
    shipped!("cronjob":
        "plan.yaml",
        "templates/cronjob.yaml",
        "templates/secrets.yaml",
        "templates/settings.yaml",
    ),
    shipped!("external":
        "plan.yaml",
        "templates/ingress.yaml",
        "templates/service.yaml",
    ),
    shipped!("rust-service":
        "plan.yaml",
        "templates/autoscaler.yaml",
        "templates/budget.yaml",
        "templates/deployment.yaml",
        "templates/ingress.yaml",
        "templates/secrets.yaml",
        "templates/service.yaml",
        "templates/settings.yaml",
    ),
    shipped!("static-site":
        "plan.yaml",
        "templates/autoscaler.yaml",
        "templates/budget.yaml",
        "templates/deployment.yaml",
        "templates/ingress.yaml",
        "templates/service.yaml",
    ),
    shipped!("worker":
        "plan.yaml",
        "templates/autoscaler.yaml",
        "templates/budget.yaml",
        "templates/deployment.yaml",
        "templates/secrets.yaml",
        "templates/settings.yaml",
    ),
];

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
            let on_disk = Content::of_directory(&plans.join(plan.name)).unwrap();
            // What a service starts with is carried too, but is no part of what it is built with.
            let (start, plain): (Vec<_>, Vec<_>) = on_disk
                .files()
                .iter()
                .partition(|(path, _)| path.starts_with("new/"));
            let carried = plan.content().unwrap();
            let carried: Vec<_> = carried.files().iter().collect();
            assert_eq!(plain, carried, "{}", plan.name);
            let shop = foreshore_model::ServiceName::new("shop").unwrap();
            let carried = crate::starter(plan.name, &shop).unwrap();
            let carried: BTreeSet<String> = carried
                .into_iter()
                .map(|(path, _)| format!("new/{path}"))
                .collect();
            let start: BTreeSet<String> = start.into_iter().map(|(path, _)| path.clone()).collect();
            assert_eq!(start, carried, "{}", plan.name);
        }
    }

    #[test]
    fn every_shipped_plan_can_be_read() {
        for plan in SHIPPED {
            let found = crate::find(plan.name, Path::new("/nonexistent"))
                .unwrap()
                .unwrap();
            assert_eq!(found.file.name, plan.name);
        }
    }
}
