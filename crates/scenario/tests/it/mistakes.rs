//! Every mistake a scenario can have: place, words, and what to type instead.

use foreshore_scenario::compile;

/// A scenario that is right up to the line that follows.
const HEAD: &str = "scenario \"s\"\ntarget base = env URL\ndata users = csv \"u.csv\"\n";
const STEP: &str = "step one GET {{base}}/\n  capture a = json $.a\n";

#[track_caller]
fn check(text: &str, place: &str, message: &str, hint: &str) {
    let problems = compile("x.scn", text).expect_err("the scenario is wrong");
    let first = &problems.all[0];
    let found = format!("{}:{}", first.span.line, first.span.column);
    assert_eq!(
        (found.as_str(), first.message.as_str()),
        (place, message),
        "\n{problems}"
    );
    assert_eq!(first.hint.as_deref().unwrap_or(""), hint, "\n{problems}");
}

/// A mistake in the line after [`HEAD`] and [`STEP`], which is line 6.
#[track_caller]
fn line(text: &str, column: u32, message: &str, hint: &str) {
    check(
        &format!("{HEAD}{STEP}{text}\n"),
        &format!("6:{column}"),
        message,
        hint,
    );
}

/// A mistake in a profile.
#[track_caller]
fn profile(text: &str, column: u32, message: &str, hint: &str) {
    line(&format!("profile p {text}"), column + 10, message, hint);
}

#[test]
fn a_mistake_is_shown_with_its_line_and_a_caret() {
    let text = format!("{HEAD}step one GET {{{{bsae}}}}/x\nprofile p iterations 1\n");
    let problems = compile("shop.scn", &text).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "shop.scn:4:16: there is no `bsae`\n 4 | step one GET {{bsae}}/x\n   |                ^^^^\n   = did you mean `base`?"
    );
}

#[test]
fn all_mistakes_are_reported_at_once_in_order() {
    let problems = compile(
        "x.scn",
        "scenario \"s\"\nstpe a\nstep a GTE http://h/\n  expct 200\nprofile p\n",
    )
    .unwrap_err();
    let lines: Vec<u32> = problems.all.iter().map(|it| it.span.line).collect();
    assert_eq!(lines, [2, 3, 5], "{problems}");
}

#[test]
fn files_without_what_they_need() {
    check(
        "",
        "1:1",
        "the scenario has no name",
        "start the file with `scenario \"NAME\"`",
    );
    check(
        "scenario \"s\"\n",
        "1:1",
        "the scenario has no step",
        "add one: `step home GET {{base}}/`",
    );
    check(
        "scenario s\n",
        "1:10",
        "the scenario's name was expected in quotes, not `s`",
        "write `\"s\"`",
    );
    check(
        "scenario \"a\"\nscenario \"b\"\n",
        "2:10",
        "the scenario has a name already",
        "",
    );
    check(
        "scenario \"a\n",
        "1:10",
        "this text in quotes does not end",
        "end it with `\"`; write a quote inside as `\\\"`",
    );
    check(
        "\tscenario\n",
        "1:1",
        "a tab in the indentation",
        "indent with blanks",
    );
}

#[test]
fn declarations() {
    line(
        "stpe a",
        1,
        "`stpe` starts nothing that a scenario has",
        "did you mean `step`?",
    );
    line(
        "target base = env X",
        8,
        "the name `base` is taken by a line above",
        "",
    );
    line(
        "target uuid = env X",
        8,
        "`uuid` is a function's name",
        "choose another name",
    );
    line(
        "target 1 = env X",
        8,
        "`1` cannot be a target's name",
        "names are letters, digits, `_` and `-`, and start with a letter",
    );
    line(
        "target t = X",
        12,
        "`env VARIABLE` or a text in quotes was expected, not `X`",
        "for example `env TARGET_URL default \"http://localhost:8080\"`",
    );
    line(
        "target t = \"h:80\"",
        12,
        "`h:80` is not an address; write it like `https://shop.example.org`",
        "",
    );
    line(
        "target t = \"http://u:p@h\"",
        12,
        "`http://u:p@h` carries a user name; send it in an `Authorization` header",
        "",
    );
    line("target t env X", 10, "`=` was expected, not `env`", "");
    line(
        "target t =",
        11,
        "`env VARIABLE` or a text in quotes is missing here",
        "for example `env TARGET_URL default \"http://localhost:8080\"`",
    );
    line(
        "secret s = \"x\"",
        12,
        "a secret does not stand in the file",
        "write `= env VARIABLE`",
    );
    line(
        "data d = yaml \"x\"",
        10,
        "`csv` or `json` was expected, not `yaml`",
        "",
    );
    line(
        "data d = csv \"x\" uniq",
        18,
        "`unique` or `shared` was expected, not `uniq`",
        "",
    );
    line(
        "hosts \"a/b\"",
        7,
        "`a/b` is not the name of a host",
        "give names such as `shop.example.org`, without scheme, port or pattern",
    );
    line(
        "max-rate 5",
        10,
        "`5` is not a rate",
        "write it like `5000/s`, `300/m` or `10/h`",
    );
    line(
        "cookies maybe",
        9,
        "`on` or `off` was expected, not `maybe`",
        "",
    );
    line(
        "cookies on off",
        12,
        "nothing more is expected here, but `off` follows",
        "",
    );
    check(
        &format!("{HEAD}cookies on\n  x\n"),
        "5:3",
        "nothing is indented below `cookies`",
        "",
    );
}

#[test]
fn steps() {
    let usage = "write `step NAME GET {{base}}/path`";
    line("step two", 9, "the method is missing here", usage);
    line("step two GET", 13, "the address is missing here", usage);
    line(
        "step two get http://h",
        10,
        "`get` is not a method",
        "did you mean `GET`?",
    );
    line(
        "step one GET http://h",
        6,
        "line 4 has a step `one` already",
        "",
    );
    line(
        "step two GET /x",
        14,
        "`/x` is not an address; write it like `https://shop.example.org`",
        "start it with a target: `{{base}}/path`",
    );
    line(
        "step two GET {{base}}/{{a}",
        23,
        "`{{` does not end",
        "end it with `}}`",
    );
    line(
        "step two GET {{}}",
        16,
        "nothing stands between `{{` and `}}`",
        "",
    );
    line(
        "step two GET {{base x}}",
        16,
        "`base` takes nothing after it",
        "",
    );
    line(
        "step two GET {{users}}",
        16,
        "`users` is data; name one of its columns",
        "for example `{{users.email}}`",
    );
    line(
        "step two GET {{base}}/{{user.email}}",
        25,
        "there is no data `user`",
        "did you mean `users`?",
    );
    line(
        "step two GET {{base}}/{{int 9 1}}",
        25,
        "`int` is not used like this",
        "write `{{int 1 100}}`",
    );
    line(
        "step two GET {{base}} {\"a\":1}",
        23,
        "a GET request has no body",
        "",
    );
    line(
        "step two POST {{base}} x",
        24,
        "`x` cannot follow the address",
        "a body starts with `{`, `[` or `\"`; headers stand indented below, as `Name: value`",
    );
    line(
        "step two POST {{base}} @sfae",
        24,
        "`@safe` was expected, not `@sfae`",
        "",
    );
}

/// A mistake in a line of a step, which is line 7.
#[track_caller]
fn step_line(text: &str, column: u32, message: &str, hint: &str) {
    let text = format!("{HEAD}{STEP}step two POST {{{{base}}}}/\n  {text}\n");
    check(&text, &format!("7:{column}"), message, hint);
}

#[test]
fn lines_of_steps() {
    step_line(
        "expct 200",
        3,
        "`expct` is no line of a step",
        "did you mean `expect`?",
    );
    step_line(
        "expect 20",
        10,
        "`20` is not a status",
        "write `expect 200`, `expect 201 | 409` or `expect 2xx`",
    );
    step_line("expect 200 |", 15, "a status is missing here", "");
    step_line(
        "Content-Length: 5",
        3,
        "`Content-Length` is set by the runner",
        "leave it out",
    );
    step_line(
        "X: {{zz}}",
        8,
        "there is no `zz`",
        "known here: a, base, uuid, one_of, int, letters, user, iteration, unix_millis",
    );
    step_line(
        "timeout 5",
        11,
        "`5` is not a duration",
        "write it like `90s`, `250ms` or `1h30m`",
    );
    step_line("timeout 0s", 11, "this must be longer than nothing", "");
    step_line("redirects 99", 13, "`99` is not between 1 and 20", "");
    step_line(
        "body-limit 5",
        14,
        "`5` is not a size",
        "write it like `64KiB`",
    );
    step_line("retry 5s", 9, "`within` was expected, not `5s`", "");
    step_line("events 3", 11, "`within` is missing here", "");
    step_line("capture x json $.a", 13, "`=` was expected, not `json`", "");
    step_line(
        "capture base = json $.a",
        11,
        "the name `base` is taken by a line above",
        "",
    );
    step_line(
        "capture x = jsn $.a",
        15,
        "`jsn` is no part of an answer",
        "did you mean `json`?",
    );
    step_line(
        "capture x = json a.b",
        20,
        "a JSON path starts with `$`",
        "",
    );
    step_line(
        "capture x = json $..a",
        21,
        "`..` is not supported; name the way to the value",
        "",
    );
    step_line(
        "capture x = json $.a[?(@.b)]",
        23,
        "filters are not supported; take an index or `[*]`",
        "",
    );
    step_line(
        "capture x = regex \"(\"",
        21,
        "this regular expression is wrong: unclosed group",
        "",
    );
    step_line(
        "assert json $.a is 5",
        19,
        "`is` is not a test",
        "did you mean `exists`?",
    );
    step_line(
        "assert json $.a == x",
        22,
        "`x` is not a value",
        "write it like `\"x\"`, `5`, `true` or `null`",
    );
    step_line(
        "assert duration < 5",
        21,
        "`5` is not a duration",
        "write it like `200ms`",
    );
    step_line(
        "assert status == \"x\" @functonal",
        24,
        "there is no mark `@functonal`",
        "did you mean `@functional`?",
    );
    step_line(
        "assert body contains x",
        24,
        "a text was expected in quotes, not `x`",
        "write `\"x\"`",
    );
    check(
        "scenario \"s\"\nstep a POST http://h/ {}\n  {\"b\":2}\n",
        "3:3",
        "the step has a body already",
        "",
    );
}

#[test]
fn flow() {
    line(
        "think 4s..1s",
        7,
        "the longer pause stands first",
        "write the shorter one first, as in `1s..4s`",
    );
    line(
        "think long",
        7,
        "`long` is not a pause",
        "write `think 500ms` or `think 1s..4s`",
    );
    line("loop 0", 6, "`0` is not between 1 and 1000000", "");
    line(
        "loop 2",
        1,
        "nothing is indented below this line",
        "indent its steps by two blanks",
    );
    check(
        &format!("{HEAD}{STEP}pick\n  step two GET {{{{base}}}}/\n"),
        "7:3",
        "`weight N` was expected, not `step`",
        "each branch of `pick` is a `weight N` with its steps indented below",
    );
    check(
        &format!("{HEAD}{STEP}loop 2\n    think 1s\n  think 2s\n"),
        "8:3",
        "this indentation fits no line above",
        "lines of one block start in the same column",
    );
    check(
        &format!(
            "{HEAD}{STEP}pick\n  weight 1\n    step two GET {{{{base}}}}/\n      capture b = status\nstep three GET {{{{base}}}}/{{{{b}}}}\n"
        ),
        "10:27",
        "`b` is not captured before this line",
        "a capture made in one branch of `pick` is not known outside it",
    );
}

#[test]
fn profiles() {
    let how = "add `iterations 1`, `each DATA`, `users 50 for 60s` or `arrivals 100/s for 60s`";
    line("profile p", 9, "this profile does not say how it runs", how);
    line(
        "profile p iterations 1 arrivals 1/s for 1s",
        9,
        "this profile says twice how it runs",
        "take one of `iterations`, `each`, `users … for`, `arrivals`",
    );
    profile(
        "itertions 1",
        1,
        "a profile has no setting `itertions`",
        "did you mean `iterations`?",
    );
    profile(
        "iterations 0",
        12,
        "`0` is not between 1 and 18446744073709551615",
        "",
    );
    profile(
        "each user",
        6,
        "there is no data `user`",
        "did you mean `users`?",
    );
    profile(
        "arrivals 5000 for 1s",
        10,
        "`5000` is not a rate",
        "write it like `5000/s`, `300/m` or `10/h`",
    );
    profile(
        "arrivals 5/s",
        13,
        "`for`, `->` or `,` is missing here",
        "for example `arrivals 100/s for 60s`",
    );
    profile(
        "arrivals 5/s for 1s, 9/s",
        25,
        "`for` or `->` is missing here",
        "",
    );
    profile(
        "arrivals 0/s for 1s",
        10,
        "this shape never sends anything",
        "",
    );
    profile("arrivals 5/s -> 9/s", 20, "`over` is missing here", "");
    profile(
        "arrivals 5/s for 1s arrivals 5/s for 1s",
        30,
        "this profile has a shape already",
        "",
    );
    profile("users 9_999_999 for 1s", 7, "at most 1000000 users", "");
    profile(
        "iterations 1 steps some",
        20,
        "`safe` or `all` was expected, not `some`",
        "",
    );
    check(
        "scenario \"s\"\nstep one POST http://h/\nprofile smoke iterations 1\n",
        "3:9",
        "this profile leaves out every step",
        "mark steps that harm nothing with `@safe`, or add `steps all` to the profile",
    );
    check(
        "scenario \"s\"\nmax-rate 100/s\nstep a GET http://h/\nstep b GET http://h/\nprofile p arrivals 60/s for 1s\n",
        "5:20",
        "120 requests/s at the peak are more than `max-rate` allows (100/s)",
        "lower the arrivals, or raise `max-rate` if the target may take it",
    );
}

#[test]
fn gates() {
    let gate = |text: &str, column: u32, message: &str, hint: &str| {
        profile(
            &format!("arrivals 1/s for 60s gate {text}"),
            column + 26,
            message,
            hint,
        );
    };
    gate(
        "p98x < 5ms",
        1,
        "there is no metric `p98x`",
        "did you mean `p99`?",
    );
    gate(
        "p99(tow) < 5ms",
        5,
        "there is no step `tow`",
        "known here: one",
    );
    gate(
        "p99 = 5ms",
        5,
        "`=` is not a comparison",
        "a gate has `<`, `<=`, `>` or `>=`",
    );
    gate(
        "p99 < 5%",
        7,
        "`p99` is compared with a duration such as `400ms`, not with `5%`",
        "",
    );
    gate(
        "errors < 5ms",
        10,
        "`errors` is compared with a share such as `0.1%`, not with `5ms`",
        "",
    );
    gate(
        "samples > 1%",
        11,
        "`samples` is compared with a whole number, not with `1%`",
        "",
    );
    gate(
        "rate > 5",
        8,
        "`rate` is compared with a rate such as `5000/s`, not with `5`",
        "",
    );
    gate(
        "delivered(one) > 5%",
        11,
        "`delivered` speaks of the whole run, not of a step",
        "",
    );
    gate(
        "errors < 1.1 * baseline",
        10,
        "`errors` is not compared with a baseline",
        "only percentiles of latency are, such as `p99(step)`",
    );
    gate("p99 < 5ms last 90s", 16, "the run is only 60s long", "");
    gate(
        "p99 < 5ms during 9s..5s",
        18,
        "`9s..5s` is not a stretch of the run",
        "write `during 20s..180s`",
    );
    gate(
        "starved < 5% last 5s",
        14,
        "`starved` speaks of the whole run",
        "",
    );
    profile(
        "gate p99 < 5ms last 5s",
        16,
        "this part of the run is not known yet",
        "give the shape first: `arrivals … for …` or `users … for …`",
    );
}
