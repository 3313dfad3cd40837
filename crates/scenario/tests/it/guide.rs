//! Every example of the guide compiles, so that the guide cannot say what is not so.

use std::path::Path;

use foreshore_scenario::compile;

#[test]
fn every_example_of_the_guide_compiles() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides/scenarios.md");
    let guide = std::fs::read_to_string(path).unwrap();
    let examples: Vec<&str> = guide
        .split("```scn\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(examples.len() >= 4, "the guide has lost its examples");
    for example in examples {
        if let Err(problems) = compile("scenarios.md", example) {
            panic!("{problems}\n\n{example}");
        }
    }
}
