//! Templates rendered here as Go renders them; the recording is from `oracle/templates`.

use foreshore_model::yaml;
use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;

const RECORDED: &str = include_str!("recorded.json");

fn rendered(text: &str, data: &Value) -> Result<String, TemplateError> {
    let environment = BTreeMap::from([("HOME".to_owned(), "/home/ada".to_owned())]);
    let options = Options {
        left: "{{",
        right: "}}",
        files: &NoFiles,
        now: None,
        environment: &environment,
    };
    render("case", text, data, &options)
}

fn data(vars: &str) -> Value {
    let vars: Json = yaml::read_legacy("vars", vars).unwrap();
    Value::fields([
        ("Vars", Value::from(&vars)),
        (
            "Args",
            Value::texts([("tag".into(), "v1".into()), ("empty".into(), String::new())]),
        ),
    ])
}

#[test]
fn every_recorded_template_renders_as_go_renders_it() {
    let recorded: Json = serde_json::from_str(RECORDED).unwrap();
    let mut wrong = Vec::new();
    for case in recorded["results"].as_array().unwrap() {
        let text = case["template"].as_str().unwrap();
        let data = data(recorded["data"].as_str().unwrap());
        match (rendered(text, &data), case["output"].as_str()) {
            (Ok(found), Some(expected)) if found == expected => {}
            (Err(_), None) => {}
            (found, expected) => {
                wrong.push(format!("{text}\n  go:   {expected:?}\n  ours: {found:?}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[track_caller]
fn fails(text: &str, part: &str) {
    let error = rendered(text, &data("name: shop\n"))
        .unwrap_err()
        .to_string();
    assert!(error.contains(part), "{text}: {error}");
}

#[test]
fn mistakes_have_a_line_and_the_nearest_name() {
    fails(
        "a\n{{ uper \"x\" }}",
        "case:2: function `uper` is not defined; did you mean `upper`?",
    );
    fails(
        "{{ .Vras }}",
        "case:1: there is no field `.Vras`; did you mean `.Vars`?",
    );
    fails(
        "{{ $name := 1 }}\n\n{{ $nmae }}",
        "case:3: undefined variable `$nmae`; did you mean `$name`?",
    );
    fails(
        "{{ define \"page\" }}{{ end }}{{ template \"pgae\" }}",
        "did you mean `page`?",
    );
    fails(
        "x\n{{ upper .Vars.nothing }}",
        "case:2: upper: wrong type for value; expected string; got nothing",
    );
}

#[test]
fn what_is_not_the_same_every_time_is_refused_by_name() {
    for text in [
        "{{ uuidv4 }}",
        "{{ randAlpha 5 }}",
        "{{ genPrivateKey \"rsa\" }}",
        "{{ now }}",
    ] {
        fails(text, "refused");
    }
}

#[test]
fn endless_and_huge_templates_end() {
    fails(
        "{{ range until 9999 }}{{ range until 9999 }}x{{ end }}{{ end }}",
        "steps",
    );
    fails(
        "{{ define \"r\" }}{{ template \"r\" }}{{ end }}{{ template \"r\" }}",
        "deep",
    );
    fails(
        "{{ range until 90000 }}{{ repeat 1000 \"x\" }}{{ end }}",
        "bytes of output",
    );
    fails("{{ repeat 999999999 \"xxxx\" }}", "bytes");
    fails("{{ until 99999999 }}", "items");
    fails(
        &format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000)),
        "deep",
    );
    fails(&"{{ if true }}".repeat(5000), "deep");
}

#[test]
fn other_delimiters_leave_the_usual_ones_alone() {
    let options = Options {
        left: ">>",
        right: "<<",
        files: &NoFiles,
        now: None,
        environment: &BTreeMap::new(),
    };
    let found = render(
        "case",
        "FROM >> get \"name\" .Vars << {{ x }}",
        &data("name: shop\n"),
        &options,
    );
    assert_eq!(found.unwrap(), "FROM shop {{ x }}");
}

#[test]
fn the_environment_and_the_time_are_given() {
    assert_eq!(
        rendered(
            "{{ env \"HOME\" }} {{ expandenv \"$HOME/x ${NO}\" }}",
            &data("{}\n")
        )
        .unwrap(),
        "/home/ada /home/ada/x "
    );
    let environment = BTreeMap::new();
    let options = Options {
        left: "{{",
        right: "}}",
        files: &NoFiles,
        now: Some(Timestamp::from_second(1_700_000_000).unwrap()),
        environment: &environment,
    };
    let found = render(
        "case",
        "{{ now | date \"2006-01-02 15:04:05 Mon Jan 2\" }} {{ now | unixEpoch }}",
        &Value::Nil,
        &options,
    );
    assert_eq!(found.unwrap(), "2023-11-14 22:13:20 Tue Nov 14 1700000000");
}

proptest! {
    #[test]
    fn no_text_is_fatal(text in "[{}()|.$ \"a-z0-9:=/*-]{0,60}") {
        let _either = rendered(&format!("{{{{{text}}}}}"), &data("a: 1\n"));
        let _either = rendered(&text, &data("a: 1\n"));
    }

    #[test]
    fn written_yaml_reads_back(text in "\\PC{0,30}", more in "[a-z :#\\-\\n'\"]{0,20}") {
        let value = Value::map([("a".to_owned(), Value::list(vec![Value::text(text), Value::map([("b".to_owned(), Value::text(more))])]))]);
        let written = rendered("{{ toYaml . }}", &value).unwrap();
        let read = yaml::read_manifests("x", &written);
        prop_assert_eq!(read.unwrap_or_default(), vec![value.to_json()], "{}", written);
    }
}
