//! Which texts may be names, labels and label values; `None` means yes, else why not.

const NAME_MAX: usize = 253;
const LABEL_MAX: usize = 63;

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    is_lower(*first) && is_lower(*last) && bytes.iter().all(|byte| is_lower(*byte) || *byte == b'-')
}

/// A DNS-1123 subdomain, the form of most names.
pub(crate) fn subdomain(text: &str) -> Option<String> {
    if text.len() > NAME_MAX {
        return Some(format!("must be no more than {NAME_MAX} bytes"));
    }
    (!text.split('.').all(is_label)).then(|| {
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' \
         or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex \
         used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            .to_owned()
    })
}

/// A DNS-1123 label, the form of namespaces.
pub(crate) fn label(text: &str) -> Option<String> {
    if text.len() > LABEL_MAX {
        return Some(format!("must be no more than {LABEL_MAX} bytes"));
    }
    (!is_label(text)).then(|| {
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
         and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', \
         regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            .to_owned()
    })
}

/// A DNS-1035 label, the form of Services.
pub(crate) fn service(text: &str) -> Option<String> {
    if text.len() > LABEL_MAX {
        return Some(format!("must be no more than {LABEL_MAX} bytes"));
    }
    (!is_label(text) || !text.as_bytes()[0].is_ascii_lowercase()).then(|| {
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with \
         an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or \
         'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
            .to_owned()
    })
}

/// One segment of a path; the form of RBAC names.
pub(crate) fn path_segment(text: &str) -> Option<String> {
    match text {
        "." => Some("may not be '.'".to_owned()),
        ".." => Some("may not be '..'".to_owned()),
        text => ['/', '%']
            .iter()
            .find(|character| text.contains(**character))
            .map(|character| format!("may not contain '{character}'")),
    }
}

fn is_qualified_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// The key of a label or annotation: an optional DNS prefix and a name.
pub(crate) fn qualified_name(text: &str) -> Option<String> {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    if let Some(prefix) = prefix {
        if prefix.is_empty() {
            return Some("prefix part must be non-empty".to_owned());
        }
        if let Some(why) = subdomain(prefix) {
            return Some(format!("prefix part {why}"));
        }
    }
    if name.is_empty() {
        return Some("name part must be non-empty".to_owned());
    }
    if name.len() > LABEL_MAX {
        return Some(format!("name part must be no more than {LABEL_MAX} bytes"));
    }
    (!is_qualified_part(name)).then(|| {
        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and \
         end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex \
         used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
            .to_owned()
    })
}

/// The value of a label.
pub(crate) fn label_value(text: &str) -> Option<String> {
    if text.len() > LABEL_MAX {
        return Some(format!("must be no more than {LABEL_MAX} bytes"));
    }
    (!text.is_empty() && !is_qualified_part(text)).then(|| {
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
         '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
         'my_value',  or '12345', regex used for validation is \
         '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_forms() {
        assert_eq!(subdomain("a.b-c.d0"), None);
        assert!(subdomain("A").is_some());
        assert!(subdomain("").is_some());
        assert!(subdomain("a..b").is_some());
        assert!(subdomain(&"a".repeat(254)).is_some());
        assert!(label("a.b").is_some());
        assert!(service("0a").is_some());
        assert_eq!(service("a0"), None);
        assert_eq!(path_segment("system:node"), None);
        assert!(path_segment("a/b").is_some());
        assert_eq!(qualified_name("x.io/My_name.1"), None);
        assert!(qualified_name("/x").is_some());
        assert!(qualified_name("a/b/c").is_some());
        assert_eq!(label_value(""), None);
        assert!(label_value("-x").is_some());
    }
}
