//! Users are made, changed and removed; what cannot be one is refused by name.

use secrecy::ExposeSecret as _;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn password() -> Password {
    Password::chosen("correct horse battery", "x-y-z").unwrap()
}

fn named(name: &str) -> NewUser {
    NewUser {
        name: name.to_owned(),
        email: None,
        role: Role::Operator,
    }
}

fn users() -> (tempfile::TempDir, Users) {
    let folder = tempfile::tempdir().unwrap();
    let users = Users::open(folder.path()).unwrap();
    (folder, users)
}

#[test]
fn a_user_is_there_once_and_over_a_restart() {
    let (folder, users) = users();
    let made = users.add(&named("ada"), &password(), at(1)).unwrap();
    assert_eq!(made.email, "ada@foreshore.local");
    assert!(matches!(
        users.add(&named("ada"), &password(), at(2)),
        Err(UserError::Taken(_))
    ));
    drop(users);
    let users = Users::open(folder.path()).unwrap();
    assert_eq!(users.list().unwrap(), [made]);
    users.remove("ada").unwrap();
    assert!(matches!(users.remove("ada"), Err(UserError::Missing(_))));
    assert_eq!(users.list().unwrap(), []);
}

#[test]
fn the_database_holds_neither_passwords_nor_sessions() {
    let (folder, users) = users();
    users.add(&named("ada"), &password(), at(1)).unwrap();
    let secret = users.begin_session("ada", at(1)).unwrap().unwrap();
    drop(users);
    for entry in std::fs::read_dir(folder.path().join("server")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for text in [password().reveal(), secret.expose_secret()] {
            let text = text.as_bytes();
            assert!(!bytes.windows(text.len()).any(|window| window == text));
        }
    }
}

#[test]
fn names_and_addresses_that_would_pass_for_something_else_are_refused() {
    let (_folder, users) = users();
    let long = "x".repeat(64);
    for name in [
        "",
        "Ada",
        "ada lovelace",
        "ada\n",
        "-ada",
        ".ada",
        "ada:x",
        "../ada",
        "ädä",
        "system:masters",
        &long,
    ] {
        let refused = users.add(&named(name), &password(), at(1));
        assert!(matches!(refused, Err(UserError::Name(_))), "{name:?}");
    }
    for name in RESERVED {
        let refused = users.add(&named(name), &password(), at(1));
        assert!(matches!(refused, Err(UserError::Reserved(_))), "{name}");
    }
    for email in [
        "",
        "ada",
        "@x",
        "a@",
        "a@b@c",
        "a b@c",
        "a@b\nCo-authored-by: x",
        "<a@b>",
    ] {
        let user = NewUser {
            email: Some(email.to_owned()),
            ..named("ada")
        };
        let refused = users.add(&user, &password(), at(1));
        assert!(matches!(refused, Err(UserError::Email(_))), "{email:?}");
    }
    assert!(matches!("root".parse::<Role>(), Err(UserError::Role(_))));
}

#[test]
fn a_changed_password_or_role_ends_every_session() {
    let (_folder, users) = users();
    users.add(&named("ada"), &password(), at(1)).unwrap();
    let begin = || users.begin_session("ada", at(1)).unwrap().unwrap();
    let lives = |secret: &secrecy::SecretString| {
        let found = users.session(secret.expose_secret(), true, at(2)).unwrap();
        found.is_some()
    };
    let first = begin();
    assert!(lives(&first));
    users
        .set_password("ada", &Password::draw().unwrap(), at(2))
        .unwrap();
    assert!(!lives(&first));
    let second = begin();
    users.set_role("ada", Role::Viewer).unwrap();
    assert!(!lives(&second));
    let third = begin();
    users.remove("ada").unwrap();
    assert!(!lives(&third));
    assert!(users.begin_session("ada", at(3)).unwrap().is_none());
    assert!(matches!(
        users.set_role("ada", Role::Admin),
        Err(UserError::Missing(_))
    ));
}
