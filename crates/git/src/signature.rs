//! Signs commits as git itself understands it (`gpg.format=ssh`), and checks signatures, without any program.
//!
//! The form is OpenSSH's `SSHSIG`: a blob with the public key, the namespace
//! `git`, and an Ed25519 signature over a hash of the commit without its
//! `gpgsig` header. Plain `git verify-commit` takes it with a file of allowed
//! signers, see [`Signer::allowed_line`].

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, SHA512, digest};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::error::GitError;
use crate::object::ObjectId;
use crate::repository::Repository;

const MAGIC: &[u8] = b"SSHSIG";
const KEY_TYPE: &str = "ssh-ed25519";
const NAMESPACE: &[u8] = b"git";
const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";
/// The header of a commit that holds its signature.
const HEADER: &str = "gpgsig";
/// Characters of the signature in one line, as ssh-keygen writes it.
const LINE: usize = 70;

/// The key that signs commits; never printed.
pub struct CommitKey(Ed25519KeyPair);

/// Who signs: the half of a key that everybody may know, `ssh-ed25519 AAAA…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signer([u8; 32]);

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitKeyError {
    #[error("it is no Ed25519 key in the form PKCS #8")]
    Damaged,
    #[error("`{text}` is no public Ed25519 key (`{KEY_TYPE} AAAA…`)")]
    Public { text: String },
}

/// What the signature of a commit is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    Unsigned,
    /// Signed by one of those who are trusted, and not changed since.
    Good(Signer),
    /// Signed, but not so that it counts.
    Bad {
        why: &'static str,
    },
}

impl fmt::Debug for CommitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommitKey({})", self.signer())
    }
}

impl CommitKey {
    /// Reads a key that is kept in the form PKCS #8.
    pub fn from_pkcs8(kept: &[u8]) -> Result<Self, CommitKeyError> {
        Ed25519KeyPair::from_pkcs8(kept)
            .map(Self)
            .map_err(|_| CommitKeyError::Damaged)
    }

    pub fn signer(&self) -> Signer {
        let bytes = self.0.public_key().as_ref().try_into();
        Signer(bytes.expect("a public Ed25519 key has 32 bytes"))
    }

    /// Returns the commit with its signature in it; the same is always signed the same way.
    pub(crate) fn sign(&self, commit: &[u8]) -> Vec<u8> {
        let hashed = digest(&SHA512, commit);
        let signature = self.0.sign(&statement(b"sha512", hashed.as_ref()));
        let mut blob = MAGIC.to_vec();
        blob.extend(1_u32.to_be_bytes());
        string(&mut blob, &self.signer().blob());
        string(&mut blob, NAMESPACE);
        string(&mut blob, b"");
        string(&mut blob, b"sha512");
        let mut inner = Vec::new();
        string(&mut inner, KEY_TYPE.as_bytes());
        string(&mut inner, signature.as_ref());
        string(&mut blob, &inner);

        let encoded = STANDARD.encode(blob);
        let mut header = format!("{HEADER} {BEGIN}\n");
        for line in encoded.as_bytes().chunks(LINE) {
            header.push(' ');
            header.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
            header.push('\n');
        }
        header.push(' ');
        header.push_str(END);
        header.push('\n');
        let head = head_length(commit);
        [&commit[..head], header.as_bytes(), &commit[head..]].concat()
    }
}

impl Signer {
    fn blob(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        string(&mut blob, KEY_TYPE.as_bytes());
        string(&mut blob, &self.0);
        blob
    }

    /// A line for git's `gpg.ssh.allowedSignersFile`.
    pub fn allowed_line(&self, principal: &str) -> String {
        format!("{principal} namespaces=\"git\" {self}")
    }
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{KEY_TYPE} {}", STANDARD.encode(self.blob()))
    }
}

impl FromStr for Signer {
    type Err = CommitKeyError;

    fn from_str(text: &str) -> Result<Self, CommitKeyError> {
        let text = text.trim();
        let ssh = text
            .strip_prefix(KEY_TYPE)
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|encoded| STANDARD.decode(encoded).ok())
            .and_then(|blob| public_key(&blob));
        // How the server writes the same key down where artifacts are signed with it.
        let plain = text
            .strip_prefix("ed25519:")
            .and_then(|encoded| STANDARD.decode(encoded).ok())
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self);
        ssh.or(plain).ok_or_else(|| CommitKeyError::Public {
            text: text.chars().take(80).collect(),
        })
    }
}

impl Repository {
    /// Says what the signature of each commit is worth; whoever is not among `trusted` counts for nothing.
    pub fn signatures(
        &self,
        commits: &[ObjectId],
        trusted: &[Signer],
    ) -> Result<Vec<Signature>, GitError> {
        let raw = self.read_commits(commits)?;
        Ok(raw.iter().map(|commit| check(commit, trusted)).collect())
    }
}

/// Length of the headers of a commit, without the empty line that ends them.
fn head_length(commit: &[u8]) -> usize {
    let end = commit.windows(2).position(|pair| pair == b"\n\n");
    end.map_or(commit.len(), |end| end + 1)
}

/// Judges a commit as git stores it.
pub(crate) fn check(commit: &[u8], trusted: &[Signer]) -> Signature {
    let Some((armored, payload)) = split(commit) else {
        return Signature::Unsigned;
    };
    let bad = |why| Signature::Bad { why };
    let Some(found) = Found::read(&armored) else {
        return bad("it is no SSH signature with an Ed25519 key");
    };
    if found.namespace != NAMESPACE {
        return bad("it was made for something else than git");
    }
    if !trusted.contains(&found.signer) {
        return bad("its key is not trusted");
    }
    let hashed = match found.hash.as_slice() {
        b"sha512" => digest(&SHA512, &payload),
        b"sha256" => digest(&SHA256, &payload),
        _ => return bad("its hash is not known"),
    };
    let statement = statement(&found.hash, hashed.as_ref());
    let key = UnparsedPublicKey::new(&ED25519, &found.signer.0);
    match key.verify(&statement, &found.signature) {
        Ok(()) => Signature::Good(found.signer),
        Err(_) => bad("the commit is not the one that was signed"),
    }
}

/// Takes the signature out of a commit; none if it has none.
fn split(commit: &[u8]) -> Option<(String, Vec<u8>)> {
    let head = head_length(commit);
    let mut armored: Option<String> = None;
    let mut payload = Vec::with_capacity(commit.len());
    let mut inside = false;
    for line in commit[..head].split_inclusive(|byte| *byte == b'\n') {
        let first = line.strip_prefix(HEADER.as_bytes());
        let first = first.and_then(|rest| rest.strip_prefix(b" "));
        inside = first.is_some() || (inside && line.starts_with(b" "));
        if !inside {
            payload.extend_from_slice(line);
            continue;
        }
        let text = first.unwrap_or_else(|| &line[1..]);
        let text = String::from_utf8_lossy(text);
        armored.get_or_insert_default().push_str(&text);
    }
    payload.extend_from_slice(&commit[head..]);
    armored.map(|armored| (armored, payload))
}

/// What a signature says of itself.
struct Found {
    signer: Signer,
    namespace: Vec<u8>,
    hash: Vec<u8>,
    signature: Vec<u8>,
}

impl Found {
    fn read(armored: &str) -> Option<Self> {
        let body = armored.strip_suffix('\n')?;
        let body = body.strip_prefix(BEGIN)?.strip_suffix(END)?;
        // Nothing but line ends is left out: one signature has one form.
        let encoded = body.replace('\n', "");
        let blob = STANDARD.decode(encoded).ok()?;
        let mut rest = blob.strip_prefix(MAGIC)?.strip_prefix(&[0, 0, 0, 1])?;
        let signer = public_key(take(&mut rest)?)?;
        let namespace = take(&mut rest)?.to_vec();
        let _reserved = take(&mut rest)?;
        let hash = take(&mut rest)?.to_vec();
        let mut inner = take(&mut rest)?;
        if !rest.is_empty() || take(&mut inner)? != KEY_TYPE.as_bytes() {
            return None;
        }
        let signature = take(&mut inner)?.to_vec();
        inner.is_empty().then_some(Self {
            signer,
            namespace,
            hash,
            signature,
        })
    }
}

/// What is signed: the hash of a message, and what it is signed for.
fn statement(hash: &[u8], hashed: &[u8]) -> Vec<u8> {
    let mut statement = MAGIC.to_vec();
    string(&mut statement, NAMESPACE);
    string(&mut statement, b"");
    string(&mut statement, hash);
    string(&mut statement, hashed);
    statement
}

fn public_key(blob: &[u8]) -> Option<Signer> {
    let mut rest = blob;
    if take(&mut rest)? != KEY_TYPE.as_bytes() {
        return None;
    }
    let key = take(&mut rest)?.try_into().ok()?;
    rest.is_empty().then_some(Signer(key))
}

/// Writes bytes with their length before them.
fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("keys and hashes are short");
    out.extend(length.to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Reads bytes with their length before them.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (bytes, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::*;

    const COMMIT: &[u8] = b"tree 9a570bb34d74d95e43e02e78a3716d17a7e9d57b\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nsubject\n\ngpgsig in the message is text\n";

    fn key() -> CommitKey {
        let kept = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        CommitKey::from_pkcs8(kept.as_ref()).unwrap()
    }

    #[test]
    fn a_signed_commit_is_good_until_a_byte_of_it_changes() {
        let key = key();
        let trusted = [key.signer()];
        let signed = key.sign(COMMIT);
        assert_eq!(check(&signed, &trusted), Signature::Good(key.signer()));
        assert_eq!(check(COMMIT, &trusted), Signature::Unsigned);
        let (_, payload) = split(&signed).unwrap();
        assert_eq!(payload, COMMIT);
        for at in 0..signed.len() {
            let mut damaged = signed.clone();
            damaged[at] ^= 0x01;
            assert!(
                !matches!(check(&damaged, &trusted), Signature::Good(_)),
                "byte {at}"
            );
        }
    }

    #[test]
    fn a_stranger_counts_for_nothing() {
        let (key, stranger) = (key(), key());
        let signed = stranger.sign(COMMIT);
        assert_eq!(
            check(&signed, &[key.signer()]),
            Signature::Bad {
                why: "its key is not trusted"
            }
        );
    }

    #[test]
    fn a_public_key_reads_back_and_the_private_one_is_not_shown() {
        let key = key();
        let signer = key.signer();
        assert_eq!(signer.to_string().parse::<Signer>(), Ok(signer.clone()));
        let commented = format!("{signer} ada@example.org");
        assert_eq!(commented.parse::<Signer>(), Ok(signer.clone()));
        assert_eq!(format!("{key:?}"), format!("CommitKey({signer})"));
        for text in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            "ssh-rsa AAAA",
            "ed25519:x",
        ] {
            assert!(text.parse::<Signer>().is_err(), "{text}");
        }
        assert_eq!(
            CommitKey::from_pkcs8(b"x").unwrap_err(),
            CommitKeyError::Damaged
        );
    }
}
