//! Scenarios that are right: what they compile to, how they are bound, what answers are held against.

use std::collections::BTreeMap;
use std::time::Duration;

use foreshore_scenario::{
    Agreed, Connections, FailureKind, Inputs, Load, Operation, Program, Received, Refusal, Setup,
    bind, capture, check, compile, fence,
};

pub(crate) const GAME: &str = r#"# Everything the language has.
scenario "second-screen"
target base = env TARGET_URL default "http://127.0.0.1:8080"
target admin = "https://admin.example.org/api/"
value  page = "1"
data   users = csv "users.csv" unique
secret key = env ADMIN_TOKEN
hosts "cdn.example.org"
production "example.org"
max-rate 20000/s
cookies on

step signup POST {{base}}/v1/signup
  Idempotency-Key: {{uuid}}
  {"email":"{{users.email}}"}
  expect 201 | 200
  capture secret token = json $.token
  assert header Cache-Control == "no-store" @functional
think 1s..4s
step state GET {{base}}/v1/state?page={{page}}
  capture q = json $.question
  retry within 30s every 500ms
loop 3
  step answer POST {{base}}/v1/answers {"q":{{q}},"c":{{one_of 0 1 2}}}
    Authorization: Bearer {{token}}
    expect 202 | 200 | 409
    assert json $.accepted == true @sample 1%
pick
  weight 3
    step news GET {{base}}/v1/news
  weight 1
    step admin POST {{admin}}/show @safe
      Authorization: Bearer {{key}}
      body
        <show id="{{int 1 9}}">
          # not a comment
        </show>

profile smoke iterations 1 users 1 timeout 5s stop-on-first-failure
profile acceptance each users limit 50
profile browse
  users 0 -> 50 over 10s, hold 60s
  gate p99 < 2s last 30s
profile spike arrivals poisson 0/s -> 2000/s over 20s, hold 160s, -> 200/s over 30s
  max-in-flight 60000  workers 4
  connections 64
  gate p99(signup) < 400ms   errors < 0.1%   delivered >= 99.9%   slip.p99 < 2ms   samples(answer) >= 100000
  gate p99(answer) <= 1.10 * baseline
  gate p95 < 1s during 20s..180s
"#;

pub(crate) fn program(text: &str) -> Program {
    compile("test.scn", text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn inputs() -> Inputs {
    Inputs {
        environment: BTreeMap::from([("ADMIN_TOKEN".to_owned(), "hush".to_owned())]),
        files: BTreeMap::from([(
            "users.csv".to_owned(),
            "name,email\nA,a@example.org\nB,\"b\"\"@example.org\"\n".to_owned(),
        )]),
        ..Inputs::default()
    }
}

pub(crate) fn setup(text: &str, profile: &str) -> Setup {
    let program = program(text);
    let profile = program.profile(profile).unwrap().clone();
    bind(&program, &profile, &inputs()).unwrap()
}

#[test]
fn every_word_of_the_language_is_read() {
    let program = program(GAME);
    assert_eq!(program.steps.len(), 5);
    assert_eq!(program.requests_max(), 7);
    let smoke = program.profile("smoke").unwrap();
    assert!(smoke.stop_on_first_failure);
    let left_out: Vec<&str> = smoke
        .skipped
        .iter()
        .map(|(index, _)| program.steps[*index].name.as_str())
        .collect();
    assert_eq!(left_out, ["signup", "answer"]);
    let spike = program.profile("spike").unwrap();
    assert_eq!(spike.connections, Connections::Shared(64));
    assert_eq!(spike.load.length(), Some(Duration::from_secs(210)));
    let Load::Arrivals { shape, .. } = &spike.load else {
        panic!("{:?}", spike.load);
    };
    assert!((shape.total() - (20_000.0 + 320_000.0 + 33_000.0)).abs() < 1.0);
    let browse = program.profile("browse").unwrap();
    assert_eq!(browse.windows[0].from, Duration::from_secs(40));
}

#[test]
fn what_the_file_does_not_say_is_implied_and_shown() {
    let text = program(GAME).explain();
    for part in [
        "gate lateness.p99 < 10ms  (unless the file says otherwise)",
        "gate delivered >= 99.9%\n",
        "leaves out answer: POST may change something",
        "capture token (secret) = json $.token",
        "assert json $.accepted == true (under load on 1%)",
        "secret   key = $ADMIN_TOKEN",
        "{\"email\":\"{{users.email|json}}\"}",
        "0/s -> 2000/s over 20s",
        "pick 75%: go to",
    ] {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
    let once = text.matches("delivered").count();
    assert_eq!(
        once, 1,
        "a gate of the file replaces the implied one:\n{text}"
    );
}

#[test]
fn binding_puts_in_what_is_known_and_keeps_what_changes() {
    let setup = setup(GAME, "acceptance");
    let state = &setup.program.steps[1];
    assert_eq!(
        state.url.constant(),
        Some("http://127.0.0.1:8080/v1/state?page=1")
    );
    let admin = &setup.program.steps[4];
    assert_eq!(
        admin.url.constant(),
        Some("https://admin.example.org/api/show")
    );
    assert_eq!(admin.headers[0].1.constant(), Some("Bearer hush"));
    assert_eq!(setup.rows[0], [["a@example.org"], ["b\"@example.org"]]);
    assert_eq!(setup.secrets, [("key".to_owned(), "hush".to_owned())]);
    let hosts: Vec<&str> = setup.hosts.iter().map(String::as_str).collect();
    assert_eq!(hosts, ["127.0.0.1", "admin.example.org", "cdn.example.org"]);
}

#[test]
fn a_profile_needs_only_what_its_own_steps_use() {
    let program = program(
        "scenario \"s\"\ntarget base = env A\nsecret key = env KEY\nstep one GET {{base}}/\nstep two POST {{base}}/\n  K: {{key}}\nprofile smoke iterations 1\nprofile all iterations 1\n",
    );
    let inputs = Inputs {
        environment: BTreeMap::from([("A".to_owned(), "http://h".to_owned())]),
        ..Inputs::default()
    };
    let smoke = bind(&program, program.profile("smoke").unwrap(), &inputs).unwrap();
    assert_eq!(smoke.program.flow[1], Operation::Jump(2));
    let error = bind(&program, program.profile("all").unwrap(), &inputs).unwrap_err();
    assert_eq!(error.to_string(), "secret `key` has no value");
    assert_eq!(error.hint(), Some("set the environment variable KEY"));
}

#[test]
fn bindings_that_cannot_be_name_the_nearest() {
    let program = program(GAME);
    let acceptance = program.profile("acceptance").unwrap();
    let error = |change: &dyn Fn(&mut Inputs)| {
        let mut inputs = inputs();
        change(&mut inputs);
        let error = bind(&program, acceptance, &inputs).unwrap_err();
        format!("{error} | {}", error.hint().unwrap_or_default())
    };
    let target = |name: &str, url: &str| {
        let (name, url) = (name.to_owned(), url.to_owned());
        error(&move |inputs: &mut Inputs| {
            inputs.targets.insert(name.clone(), url.clone());
        })
    };
    assert_eq!(
        target("bsae", "http://h"),
        "the scenario has no target `bsae` | did you mean `base`?"
    );
    assert!(
        target("base", "localhost:80")
            .starts_with("target `base`: `localhost:80` is not an address")
    );
    let users = |text: &str| {
        let text = text.to_owned();
        error(&move |inputs: &mut Inputs| {
            inputs.files.insert("users.csv".to_owned(), text.clone());
        })
    };
    assert_eq!(
        users("name,emial\nA,a\n"),
        "`users.csv` has no column `email`, which line 15 of the scenario uses | did you mean `emial`?"
    );
    assert_eq!(users("email\n"), "`users.csv` has no rows | ");
    assert_eq!(
        users("email\n1,2\n"),
        "users.csv:2:1: this row has 2 values, the header has 1 | "
    );
    assert_eq!(
        error(&|inputs| inputs.environment.clear()),
        "secret `key` has no value | set the environment variable ADMIN_TOKEN"
    );
}

#[test]
fn load_on_production_needs_an_agreed_time_and_a_smoke_test_does_not() {
    let mut production = inputs();
    production
        .targets
        .insert("base".to_owned(), "https://shop.example.org".to_owned());
    let program = program(GAME);
    let bound = |name: &str| bind(&program, program.profile(name).unwrap(), &production).unwrap();
    let spike = bound("spike");
    let now = "2026-11-20T19:00:00Z".parse().unwrap();
    let agreed = |text| Some(Agreed::parse(text).unwrap());
    let check = |agreed, expected: &str| {
        let refusal: Refusal = fence(&spike, agreed, now).unwrap_err();
        assert!(refusal.to_string().contains(expected), "{refusal}");
    };
    check(None, "needs an agreed time");
    check(
        agreed("2026-11-20T19:30:00Z..2026-11-20T21:00:00Z"),
        "starts only at",
    );
    check(
        agreed("2026-11-20T18:00:00Z..2026-11-20T19:00:00Z"),
        "ended at",
    );
    check(
        agreed("2026-11-20T18:00:00Z..2026-11-20T19:02:00Z"),
        "would end after",
    );
    assert_eq!(
        fence(
            &spike,
            agreed("2026-11-20T18:00:00Z..2026-11-20T21:00:00Z"),
            now
        ),
        Ok(())
    );
    assert_eq!(fence(&bound("smoke"), None, now), Ok(()));
    for wrong in [
        "",
        "now..then",
        "2026-11-20T19:00:00Z..2026-11-20T18:00:00Z",
    ] {
        assert!(Agreed::parse(wrong).is_err(), "{wrong}");
    }
}

/// Compiles one step with these lines and holds an answer against it.
fn answer(lines: &str, status: u16, headers: &[(&str, &str)], body: &str) -> Result<(), String> {
    let text = format!("scenario \"s\"\nstep one GET http://h/\n{lines}\nprofile p iterations 1\n");
    let program = program(&text);
    let headers: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let received = Received::new(
        status,
        &headers,
        body.as_bytes(),
        Duration::from_millis(150),
    );
    let step = &program.steps[0];
    check(
        step,
        &received,
        |_| true,
        |text| text.constant().unwrap().to_owned(),
    )
    .map_err(|failed| format!("{}: {}", failed.kind.name(), failed.message))?;
    for (_, subject) in &step.captures {
        capture(&received, subject)
            .map_err(|failed| format!("{}: {}", failed.kind.name(), failed.message))?;
    }
    Ok(())
}

#[test]
fn answers_that_are_right_pass() {
    let body = r#"{"ok":true,"n":7,"list":["a","b"],"none":null,"name":"Ada"}"#;
    let headers = [
        ("content-type", "application/json"),
        ("Set-Cookie", "sid=abc; Path=/"),
        ("X-N", "12"),
    ];
    for line in [
        "  assert status == 200",
        "  assert duration < 200ms",
        "  assert size <= 1KiB",
        "  assert header Content-Type contains \"json\"",
        "  assert header X-N > 11",
        "  assert header X-Other missing",
        "  assert cookie sid == \"abc\"",
        "  assert json $.ok == true",
        "  assert json $.n >= 7",
        "  assert json $.n != \"x\"",
        "  assert json $.list contains \"b\"",
        "  assert json $.list[*] exists",
        "  assert json $.none == null",
        "  assert json $.name starts-with \"A\"",
        "  assert json $.name matches \"^A.a$\"",
        "  assert body contains \"Ada\"",
        "  assert regex \"\\\"n\\\":(\\d+)\" == \"7\"",
        "  assert regex \"Ada\"",
        "  expect 2xx\n  capture x = json $.name",
    ] {
        assert_eq!(answer(line, 200, &headers, body), Ok(()), "{line}");
    }
}

#[test]
fn answers_that_are_wrong_say_how() {
    let body = r#"{"ok":false,"n":7}"#;
    for (line, status, expected) in [
        (
            "  expect 2xx",
            500,
            "status: status 500 was not expected: {\"ok\":false,\"n\":7}",
        ),
        ("", 302, "status: status 302 was not expected"),
        (
            "  assert json $.ok == true",
            200,
            "assert: line 3: `json $.ok == true` does not hold: it is false",
        ),
        ("  assert json $.n < 7", 200, "it is 7"),
        ("  assert json $.n == true", 200, "it is 7"),
        (
            "  assert json $.x exists",
            200,
            "the answer has no `json $.x`",
        ),
        ("  assert json $.n missing", 200, "it is 7"),
        ("  assert duration < 100ms", 200, "it is 150ms"),
        (
            "  assert header X exists",
            200,
            "the answer has no `header X`",
        ),
        ("  assert sha256 == \"00\"", 200, "it is \""),
        (
            "  capture x = json $.y",
            200,
            "capture: the answer has no `json $.y`",
        ),
    ] {
        let error = answer(line, status, &[], body).unwrap_err();
        assert!(error.contains(expected), "{line}: {error}");
    }
    let error = answer("  assert json $.a exists", 200, &[], "<html>").unwrap_err();
    assert!(error.contains("the body is not JSON: <html>"), "{error}");
    assert_eq!(FailureKind::Assert.name(), "assert");
}
