//! Splitting a URL into its parts by RFC 3986, section 3, without changing a byte of them.
//!
//! The parts are copies beside `url.original`; nothing is decoded, resolved or checked for sense, and
//! a text that is no URL simply has no parts. Borrowing keeps it free of allocation.

/// The parts of a URL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Url<'a> {
    pub(crate) scheme: Option<&'a str>,
    /// The host; a literal IPv6 address keeps its brackets, as ECS asks of `url.domain`.
    pub(crate) host: Option<&'a str>,
    pub(crate) port: Option<u16>,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) fragment: Option<&'a str>,
}

/// Splits `text`.
pub(crate) fn split(text: &str) -> Url<'_> {
    let (rest, fragment) = cut(text, b'#');
    let (rest, query) = cut(rest, b'?');
    let mut url = Url { path: rest, query, fragment, ..Url::default() };
    let (scheme, Some(hierarchy)) = cut(rest, b':') else { return url };
    if !is_scheme(scheme) {
        return url;
    }
    let Some(behind) = hierarchy.strip_prefix("//") else {
        // `mailto:…` and the like have a scheme and a path; `host:port` is not taken for one.
        if !hierarchy.starts_with(|c: char| c.is_ascii_digit()) {
            (url.scheme, url.path) = (Some(scheme), hierarchy);
        }
        return url;
    };
    url.scheme = Some(scheme);
    let slash = memchr::memchr(b'/', behind.as_bytes()).unwrap_or(behind.len());
    let (authority, path) = behind.split_at(slash);
    url.path = path;
    let user = memchr::memrchr(b'@', authority.as_bytes()).map_or(0, |at| at + 1);
    let host_port = &authority[user..];
    let port_at =
        memchr::memrchr(b':', host_port.as_bytes()).filter(|colon| !host_port[*colon..].contains(']'));
    let (host, port) = host_port.split_at(port_at.unwrap_or(host_port.len()));
    url.host = Some(host).filter(|host| !host.is_empty());
    url.port = port.strip_prefix(':').and_then(|port| port.parse().ok());
    url
}

fn cut(text: &str, at: u8) -> (&str, Option<&str>) {
    match memchr::memchr(at, text.as_bytes()) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_what_is_there() {
        let url = split("https://user:pass@api.example.com:8443/v1/x?limit=50&a=b?c#top");
        assert_eq!(url.scheme, Some("https"));
        assert_eq!((url.host, url.port), (Some("api.example.com"), Some(8443)));
        assert_eq!((url.path, url.query, url.fragment), ("/v1/x", Some("limit=50&a=b?c"), Some("top")));
        assert_eq!(split("http://[2001:db8::1]:80/").host, Some("[2001:db8::1]"));
        assert_eq!(split("http://[2001:db8::1]").host, Some("[2001:db8::1]"));
        assert_eq!(
            split("/v1/compliance/x?y"),
            Url { path: "/v1/compliance/x", query: Some("y"), ..Url::default() }
        );
        assert_eq!(split("mailto:ada@example.com").path, "ada@example.com");
        assert_eq!(split("localhost:8080").scheme, None);
        assert_eq!(split("https://h:99999/").port, None);
        assert_eq!(split(""), Url::default());
    }
}
