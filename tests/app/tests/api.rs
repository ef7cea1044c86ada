//! The app as its users see it, without the network in between.

use hello::VERSION;
use hello::api::answer;

fn get(target: &str) -> (u16, String) {
    let response = answer("GET", target, "");
    (response.status, response.body)
}

#[test]
fn it_says_what_it_is() {
    assert_eq!(get("/"), (200, format!(r#"{{"app":"hello","version":"{VERSION}"}}"#)));
    assert_eq!(get("/version").1, format!(r#"{{"version":"{VERSION}"}}"#));
}

#[test]
fn items_can_be_listed_and_looked_up() {
    let (status, body) = get("/items?page=1");
    assert_eq!(status, 200);
    assert!(body.starts_with(r#"{"items":[{"id":"green-tea","name":"Green tea, 100 g","cents":895},"#), "{body}");
    assert_eq!(get("/items/mug/"), (200, r#"{"id":"mug","name":"Mug, blue","cents":1150}"#.into()));
    assert_eq!(get("/items/coffee"), (404, r#"{"error":"there is no item `coffee`"}"#.into()));
}

#[test]
fn an_order_is_priced() {
    let response = answer("POST", "/quote", "green-tea=2&mug=1\n");
    assert_eq!(response.status, 200);
    assert_eq!(
        response.body,
        r#"{"lines":[{"item":"green-tea","count":2,"cents":1790},{"item":"mug","count":1,"cents":1150}],"cents":2940}"#
    );
}

#[test]
fn an_order_that_makes_no_sense_is_refused() {
    for (body, reason) in [
        ("", "the order is empty"),
        ("mug", "`mug` is not `item=count`"),
        ("coffee=1", "there is no item `coffee`"),
        ("mug=0", "`0` is no count from 1 to 1000"),
        ("mug=1001", "`1001` is no count from 1 to 1000"),
        ("mug=-1", "`-1` is no count from 1 to 1000"),
    ] {
        let response = answer("POST", "/quote", body);
        assert_eq!((response.status, response.body), (400, format!(r#"{{"error":"{reason}"}}"#)));
    }
}

#[test]
fn what_does_not_fit_is_told_apart() {
    assert_eq!(get("/nothing").0, 404);
    assert_eq!(answer("DELETE", "/items/mug", "").status, 405);
    assert_eq!(answer("GET", "/quote", "").status, 405);
}
