//! Keyed hashes that stand for values.
//!
//! HMAC-SHA-256 (RFC 2104) of the value in its one form, of which the first half is kept: RFC 2104, section 5, allows that, a
//! billion values do not meet by chance, and a sentence with two of them can still be read.
//!
//! The subtle thing: one person or machine must be one pseudonym however it is written, so that e-mail addresses are hashed in
//! lower case and IP addresses in their canonical form, and by what a value is, not by where it stands.

use std::borrow::Cow;

use hmac::{Hmac, KeyInit, Mac};
use model::tables::Class;
use sha2::Sha256;

use super::looks;

/// What pseudonyms begin with; no address, URL or file extension can be read out of one.
const PREFIX: &[u8; 5] = b"hmac_";
/// How much of the hash is kept, in bytes.
const KEPT: usize = 16;
const LENGTH: usize = PREFIX.len() + 2 * KEPT;

/// A pseudonym, in ASCII.
pub(super) type Pseudonym = [u8; LENGTH];

/// Makes pseudonyms with one key.
pub(super) struct Pseudonyms {
    /// Has taken in the key, so that a value costs two rounds and no more.
    keyed: Hmac<Sha256>,
}

impl Pseudonyms {
    pub(super) fn new(key: &[u8]) -> Self {
        // A key of any length is taken.
        let keyed = Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()));
        Self { keyed }
    }

    /// The pseudonym of a value of a class, if it is of one.
    pub(super) fn of(&self, text: &str, class: Option<Class>) -> Pseudonym {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut mac = self.keyed.clone();
        mac.update(one_form(text, class).as_bytes());
        let mut pseudonym = [0; LENGTH];
        let (prefix, digits) = pseudonym.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(PREFIX);
        for (pair, byte) in digits.chunks_exact_mut(2).zip(mac.finalize().into_bytes()) {
            pair.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        pseudonym
    }
}

/// The form of a value that is hashed.
fn one_form(text: &str, class: Option<Class>) -> Cow<'_, str> {
    if let Some(network) = looks::network(text) {
        return network.to_string().into();
    }
    let bare = match (looks::email(text), class) {
        (Some(bare), _) => bare,
        (None, Some(Class::Email)) => text.trim(),
        (None, _) => return text.into(),
    };
    if bare.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) {
        bare.to_lowercase().into()
    } else {
        bare.into()
    }
}

/// Whether a text is a pseudonym, of which nothing can be known.
pub(crate) fn is_pseudonym(text: &str) -> bool {
    text.len() == LENGTH
        && text
            .as_bytes()
            .strip_prefix(PREFIX)
            .is_some_and(|digits| digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &[u8], text: &str, class: Option<Class>) -> String {
        String::from_utf8(Pseudonyms::new(key).of(text, class).to_vec()).unwrap()
    }

    /// Test cases 1, 2 and 6 of RFC 4231: a key of 20 bytes, a short one, one longer than a block.
    #[test]
    fn hashes_are_hmac_sha_256() {
        let cases: [(&[u8], &str, &str); 3] = [
            (&[0x0b; 20], "Hi There", "b0344c61d8db38535ca8afceaf0bf12b"),
            (b"Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c7"),
            (
                &[0xaa; 131],
                "Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f",
            ),
        ];
        for (key, text, expected) in cases {
            assert_eq!(of(key, text, None), format!("hmac_{expected}"));
        }
    }

    #[test]
    fn one_person_and_one_machine_are_one_pseudonym() {
        let key = b"0123456789abcdef";
        let person = of(key, "ada@example.com", Some(Class::Email));
        for text in
            ["ADA@Example.com", " ada@example.com ", "mailto:ada@example.com", "Ada <ada@example.com>"]
        {
            assert_eq!(of(key, text, Some(Class::Email)), person, "{text}");
            assert_eq!(of(key, text, None), person, "{text}");
        }
        assert_eq!(of(key, "ADA", Some(Class::Email)), of(key, "ada", Some(Class::Email)));
        assert_ne!(of(key, "ADA", None), of(key, "ada", None));
        let machine = of(key, "2001:db8::1", Some(Class::Address));
        for text in ["2001:DB8:0:0::1", "[2001:db8::1]:443", "2001:db8::1%eth0"] {
            assert_eq!(of(key, text, None), machine, "{text}");
        }
        assert_eq!(of(key, "::ffff:192.0.2.1", None), of(key, "192.0.2.1", None));
        assert_ne!(of(key, "192.0.2.0/24", None), of(key, "192.0.2.0", None));
        assert_ne!(of(b"another key of 16", "ada@example.com", None), person);
    }

    #[test]
    fn pseudonyms_are_known_by_their_looks() {
        let one = of(b"0123456789abcdef", "x", None);
        assert!(is_pseudonym(&one));
        for other in ["hmac_", "", "x", &one.to_uppercase(), &one[1..], &format!("{one}0")] {
            assert!(!is_pseudonym(other), "{other}");
        }
        assert!(crate::url::split(&one).scheme.is_none());
    }
}
