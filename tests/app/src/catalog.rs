//! What there is to buy.

/// One thing to buy.
#[derive(Debug, PartialEq, Eq)]
pub struct Item {
    /// Its name in requests.
    pub id: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// The price of one, in cents.
    pub cents: u64,
}

/// Everything there is.
pub const ITEMS: &[Item] = &[
    Item { id: "green-tea", name: "Green tea, 100 g", cents: 895 },
    Item { id: "black-tea", name: "Black tea, 100 g", cents: 649 },
    Item { id: "mug", name: "Mug, blue", cents: 1150 },
    Item { id: "strainer", name: "Tea strainer", cents: 425 },
];

/// Finds an item by its id.
pub fn find(id: &str) -> Option<&'static Item> {
    ITEMS.iter().find(|item| item.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_can_be_found_and_costs_something() {
        for item in ITEMS {
            assert_eq!(find(item.id), Some(item));
            assert!(item.cents > 0);
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert_eq!(find("coffee"), None);
        assert_eq!(find(""), None);
    }
}
