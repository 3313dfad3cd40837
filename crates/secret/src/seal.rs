//! Sealing a value, and opening it.

use std::io::{self, Read as _, Write as _};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::{DecryptError, Decryptor, EncryptError, Encryptor};
use secrecy::{ExposeSecret as _, SecretString};

use crate::key::{Key, Recipient};

/// The longest value; a Kubernetes Secret holds little more.
pub const VALUE_BYTES_MAX: usize = 512 * 1024;

const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
const END: &str = "-----END AGE ENCRYPTED FILE-----";

/// Why a value was not sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("nobody is named who could open it")]
    NoRecipients,
    #[error("the value has {length} bytes, at most {VALUE_BYTES_MAX} are sealed")]
    TooLong { length: usize },
    #[error("the value cannot be sealed")]
    Age(#[source] EncryptError),
    #[error("the value cannot be sealed")]
    Write(#[source] io::Error),
}

/// Why a sealed value was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("it is sealed for somebody else; this agent's key is `{own}`")]
    SomebodyElse { own: String },
    #[error("it is no sealed value, or it is damaged")]
    Damaged(#[source] DecryptError),
    #[error("it is damaged")]
    Read(#[source] io::Error),
    #[error("it holds more than {VALUE_BYTES_MAX} bytes")]
    TooLong,
    #[error("it holds something that is no text")]
    NoText,
}

/// Seals a value for all of the recipients.
pub fn seal(value: &SecretString, recipients: &[Recipient]) -> Result<String, SealError> {
    let value = value.expose_secret();
    if value.len() > VALUE_BYTES_MAX {
        return Err(SealError::TooLong {
            length: value.len(),
        });
    }
    if recipients.is_empty() {
        return Err(SealError::NoRecipients);
    }
    let recipients = recipients
        .iter()
        .map(|recipient| &recipient.0 as &dyn age::Recipient);
    let encryptor = Encryptor::with_recipients(recipients).map_err(SealError::Age)?;
    let mut sealed = Vec::new();
    let armor = ArmoredWriter::wrap_output(&mut sealed, Format::AsciiArmor);
    let mut writer = encryptor
        .wrap_output(armor.map_err(SealError::Write)?)
        .map_err(SealError::Write)?;
    writer
        .write_all(value.as_bytes())
        .map_err(SealError::Write)?;
    let armor = writer.finish().map_err(SealError::Write)?;
    armor.finish().map_err(SealError::Write)?;
    Ok(String::from_utf8(sealed).expect("armor is ASCII"))
}

/// Whether a text is a sealed value and nothing else.
pub fn is_sealed(text: &str) -> bool {
    let text = text.trim();
    let inside = text
        .strip_prefix(BEGIN)
        .and_then(|text| text.strip_suffix(END));
    inside.is_some_and(|inside| {
        let plain =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '\n' | '\r');
        inside.chars().all(plain)
            && Decryptor::new_buffered(ArmoredReader::new(text.as_bytes()))
                .is_ok_and(|sealed| !sealed.is_scrypt())
    })
}

impl Key {
    /// Opens a sealed value.
    pub fn open(&self, sealed: &str) -> Result<SecretString, OpenError> {
        let failed = |error| match error {
            DecryptError::NoMatchingKeys => OpenError::SomebodyElse {
                own: self.recipient().to_string(),
            },
            error => OpenError::Damaged(error),
        };
        let decryptor =
            Decryptor::new_buffered(ArmoredReader::new(sealed.as_bytes())).map_err(failed)?;
        let identity = std::iter::once(&self.0 as &dyn age::Identity);
        let reader = decryptor.decrypt(identity).map_err(failed)?;
        let mut value = String::new();
        let limit = VALUE_BYTES_MAX as u64 + 1;
        match reader.take(limit).read_to_string(&mut value) {
            Ok(_) if value.len() > VALUE_BYTES_MAX => Err(OpenError::TooLong),
            Ok(_) => Ok(value.into()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData && value.is_empty() => {
                Err(OpenError::NoText)
            }
            Err(error) => Err(OpenError::Read(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn opened(key: &Key, sealed: &str) -> String {
        key.open(sealed).unwrap().expose_secret().to_owned()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_value_comes_back_as_it_was_and_is_nowhere_in_between(value in "[ -~äöü\n]{12,60}") {
            let (one, two) = (Key::draw(), Key::draw());
            let sealed = seal(&value.clone().into(), &[one.recipient(), two.recipient()]).unwrap();
            prop_assert!(!sealed.contains(&value) && is_sealed(&sealed));
            prop_assert_eq!(&opened(&one, &sealed), &value);
            prop_assert_eq!(&opened(&two, &sealed), &value);
        }
    }

    #[test]
    fn the_same_value_is_never_sealed_the_same_way() {
        let key = Key::draw();
        let sealed = || seal(&"hunter2".to_owned().into(), &[key.recipient()]).unwrap();
        assert_ne!(sealed(), sealed());
    }

    #[test]
    fn who_has_another_key_is_told_his_own() {
        let (key, other) = (Key::draw(), Key::draw());
        let sealed = seal(&"hunter2".to_owned().into(), &[key.recipient()]).unwrap();
        let error = other.open(&sealed).unwrap_err();
        assert!(
            error.to_string().contains(&other.recipient().to_string()),
            "{error}"
        );
    }

    #[test]
    fn what_was_changed_is_not_opened() {
        let key = Key::draw();
        let sealed = seal(&"hunter2".to_owned().into(), &[key.recipient()]).unwrap();
        let lines: Vec<&str> = sealed.lines().collect();
        for index in 1..lines.len() - 1 {
            let mut changed: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            let first = changed[index].remove(0);
            changed[index].insert(0, if first == 'A' { 'B' } else { 'A' });
            assert!(key.open(&changed.join("\n")).is_err(), "line {index}");
        }
    }

    #[test]
    fn plain_text_is_not_taken_for_a_sealed_value() {
        let key = Key::draw();
        let sealed = seal(&"hunter2".to_owned().into(), &[key.recipient()]).unwrap();
        for text in [
            "",
            "hunter2",
            &format!("{BEGIN}\nhunter2\n{END}"),
            &format!("{sealed}\nhunter2"),
            &format!("hunter2\n{sealed}"),
            &sealed.replace("END", "end"),
        ] {
            assert!(!is_sealed(text), "{text}");
        }
        assert!(matches!(
            seal(&"x".to_owned().into(), &[]),
            Err(SealError::NoRecipients)
        ));
        let long = "x".repeat(VALUE_BYTES_MAX + 1);
        assert!(matches!(
            seal(&long.into(), &[key.recipient()]),
            Err(SealError::TooLong { .. })
        ));
    }
}
