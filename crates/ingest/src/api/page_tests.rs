//! Pages, cut in every way.

use proptest::prelude::*;

use super::*;

const MOST: u64 = 16 << 20;

fn take_apart(body: &[u8], cuts: &[usize], most: u64) -> (Vec<(String, Kind)>, Result<Frame, NoPage>) {
    let body = Bytes::copy_from_slice(body);
    let mut pages = Pages::new(most);
    let mut items = Vec::new();
    let mut from = 0;
    for to in cuts.iter().copied().chain([body.len()]) {
        let to = to.clamp(from, body.len());
        pages.feed(&body.slice(from..to), &mut |item| {
            items.push((String::from_utf8_lossy(&item.bytes).into_owned(), item.kind));
        });
        from = to;
    }
    (items, pages.finish())
}

const PAGE: &str = r#" {"first_id":"a\"}b","data":[{"id":"1","t":"}]\\"}, {"id":"2","x":{"y":[{}]}},7,"s]",null,[1,[2]],{}],
 "extra":{"data":[1]},"has_more":true,"last_id":"zz"} "#;

#[test]
fn a_page_is_the_same_however_it_arrives() {
    let (items, frame) = take_apart(PAGE.as_bytes(), &[], MOST);
    let not = Kind::Malformed(Reason::NotAnObject);
    let expected = [
        (r#"{"id":"1","t":"}]\\"}"#, Kind::Record),
        (r#"{"id":"2","x":{"y":[{}]}}"#, Kind::Record),
        ("7", not),
        (r#""s]""#, not),
        ("null", not),
        ("[1,[2]]", not),
        ("{}", Kind::Record),
    ];
    assert_eq!(items, expected.map(|(text, kind)| (text.to_owned(), kind)));
    let frame = frame.unwrap();
    assert_eq!(frame.has_more, Some(true));
    assert_eq!((frame.first_id.as_deref(), frame.last_id.as_deref()), (Some("a\"}b"), Some("zz")));
    for one in 0..PAGE.len() {
        for two in one..PAGE.len() {
            let (other, again) = take_apart(PAGE.as_bytes(), &[one, two], MOST);
            assert_eq!((&other, &again), (&items, &Ok(frame.clone())), "cut at {one} and {two}");
        }
    }
}

#[test]
fn a_page_cut_anywhere_is_no_page_and_gives_only_whole_records() {
    let whole = take_apart(PAGE.as_bytes(), &[], MOST).0;
    for cut in 0..PAGE.trim_end().len() {
        let (items, frame) = take_apart(&PAGE.as_bytes()[..cut], &[], MOST);
        assert!(frame.is_err(), "cut at {cut}");
        assert!(whole.starts_with(&items), "cut at {cut}: {items:?}");
    }
}

#[test]
fn what_is_no_page_is_refused() {
    let cases = [
        ("", NoPage::Empty),
        (" \n", NoPage::Empty),
        ("<html></html>", NoPage::Other),
        ("{}", NoPage::Other),
        (r#"{"error":{"type":"api_error"}}"#, NoPage::Other),
        (r#"{"data":null,"has_more":false}"#, NoPage::Other),
        (r#"{"data":[],"has_more":"yes"}"#, NoPage::Other),
        (r#"{"data":[],"last_id":7}"#, NoPage::Other),
        (r#"{"data":[]} {}"#, NoPage::Other),
        (r#"{"data":[],}x"#, NoPage::Other),
        ("[]", NoPage::Other),
    ];
    for (body, why) in cases {
        assert_eq!(take_apart(body.as_bytes(), &[], MOST).1, Err(why), "{body}");
    }
    let empty = br#"{"data":[],"has_more":false,"first_id":null,"last_id":null}"#;
    assert_eq!(
        take_apart(empty, &[], MOST),
        (vec![], Ok(Frame { has_more: Some(false), ..Frame::default() }))
    );
}

#[test]
fn a_huge_record_is_cut_and_its_page_still_counts() {
    let huge = "x".repeat(300_000);
    let body =
        format!(r#"{{"data":[{{"id":"1"}},{{"id":"2","x":"{huge}"}},{{"id":"3"}}],"has_more":false}}"#);
    for step in [1_000, 70_000, 1_000_000] {
        let cuts: Vec<usize> = (0..body.len()).step_by(step).collect();
        let (items, frame) = take_apart(body.as_bytes(), &cuts, 100_000);
        assert_eq!(frame.unwrap().has_more, Some(false));
        assert_eq!(items.len(), 3);
        assert_eq!(items[1].1, Kind::TooLarge { length: 300_000 + 17 });
        assert!(items[1].0.len() <= HEAD_BYTES && items[1].0.starts_with(r#"{"id":"2""#));
        assert_eq!(items[2].0, r#"{"id":"3"}"#);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), cuts in proptest::collection::vec(0_usize..400, 0..5)) {
        let mut cuts = cuts;
        cuts.sort_unstable();
        let _ = take_apart(&bytes, &cuts, 64);
    }

    #[test]
    fn nothing_that_looks_like_a_page_makes_it_panic(text in r#"[{}\[\]",:\\ a0]{0,60}"#, cut in 0_usize..60) {
        let body = format!(r#"{{"data":[{text}"#);
        let _ = take_apart(body.as_bytes(), &[cut], 16);
    }

    #[test]
    fn any_page_is_taken_apart_as_serde_does(values in proptest::collection::vec("\\PC{0,12}", 0..8), more in any::<bool>(), cut in 0_usize..200) {
        let data: Vec<Value> = values.iter().map(|text| serde_json::json!({"id": text, "deep": {"x": [text]}})).collect();
        let body = serde_json::json!({"data": data, "has_more": more, "last_id": values.last()}).to_string();
        let (items, frame) = take_apart(body.as_bytes(), &[cut], MOST);
        let found: Vec<Value> = items.iter().map(|(text, _)| serde_json::from_str(text).unwrap()).collect();
        prop_assert_eq!(found, data);
        prop_assert_eq!(frame.unwrap(), Frame { has_more: Some(more), first_id: None, last_id: values.last().cloned() });
    }
}
