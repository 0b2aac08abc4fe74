//! Once links are back, all sites hold the same of each other.

use std::collections::BTreeMap;

use qis::PacketId;

/// What a node holds of sites, by domain and site.
pub(in crate::simulate) type Holdings = BTreeMap<(usize, usize), Vec<PacketId>>;

/// The first difference between what each site holds of itself and what another one holds of it, and how many there are.
pub(in crate::simulate) fn disagreement(all: &[Holdings]) -> Option<(String, usize)> {
    let mut first = None;
    let mut count = 0;
    for of in 0..all.len() {
        for domain in 0..2 {
            let own = all[of].get(&(domain, of));
            for (at, holdings) in all.iter().enumerate() {
                let held = holdings.get(&(domain, of));
                if held != own {
                    count += 1;
                    let sizes = [own, held].map(|ids| ids.map_or(0, Vec::len));
                    first.get_or_insert_with(|| {
                        format!(
                            "in domain {domain} site {at} has {} packets of site {of}, which has {} itself{}",
                            sizes[1],
                            sizes[0],
                            if sizes[0] == sizes[1] { ", another one" } else { "" }
                        )
                    });
                }
            }
        }
    }
    first.map(|first| (first, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_must_hold_what_each_holds_of_itself() {
        let id = |byte| PacketId::from_bytes([byte; 32]);
        let held = |a: u8, b: u8| Holdings::from([((0, 0), vec![id(a)]), ((0, 1), vec![id(b)])]);
        assert_eq!(disagreement(&[held(1, 2), held(1, 2)]), None);
        let (first, count) = disagreement(&[held(1, 2), held(3, 2)]).unwrap();
        assert_eq!(count, 1);
        assert!(first.contains("site 1") && first.contains("another one"), "{first}");
        assert_eq!(disagreement(&[held(1, 2), Holdings::new()]).unwrap().1, 2);
    }
}
