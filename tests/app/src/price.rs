//! What an order costs.

use crate::catalog::Item;

/// The most of one item that an order may have.
pub const COUNT_MAX: u64 = 1000;

/// From this many of one item on, they are cheaper.
const DISCOUNT_FROM: u64 = 10;
const DISCOUNT_PERCENT: u64 = 10;

/// A number of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The item.
    pub item: &'static Item,
    /// How many.
    pub count: u64,
}

impl Line {
    /// Returns the price in cents, after the discount.
    pub fn cents(&self) -> u64 {
        let full = self.item.cents * self.count;
        let percent = if self.count >= DISCOUNT_FROM { 100 - DISCOUNT_PERCENT } else { 100 };
        // To the nearest cent, and a half goes up.
        (full * percent + 50) / 100
    }
}

/// Returns the price of all lines in cents.
pub fn total(lines: &[Line]) -> u64 {
    lines.iter().map(Line::cents).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog;

    fn line(id: &str, count: u64) -> Line {
        Line { item: catalog::find(id).unwrap(), count }
    }

    #[test]
    fn a_few_cost_their_price() {
        assert_eq!(line("green-tea", 1).cents(), 895);
        assert_eq!(line("mug", 9).cents(), 10_350);
    }

    #[test]
    fn many_are_cheaper() {
        assert_eq!(line("mug", 10).cents(), 10_350);
    }

    #[test]
    fn half_a_cent_goes_up() {
        // 11 times 8.95 is 98.45; ninety percent of it are 88.605.
        assert_eq!(line("green-tea", 11).cents(), 8861);
    }

    #[test]
    fn an_order_is_the_sum_of_its_lines() {
        assert_eq!(total(&[line("green-tea", 2), line("strainer", 1)]), 2215);
        assert_eq!(total(&[]), 0);
    }
}
