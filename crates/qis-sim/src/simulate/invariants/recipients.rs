//! What is sent to an author goes to where that author is, whoever says otherwise.

use qis::Receipt;

use super::super::world::State;
use super::{Violation, holds};

const NAME: &str = "recipients are where they say";

impl State {
    /// Looks at where the packets of an emission went.
    pub(super) fn recipients(&self, site: usize, receipt: &Receipt) -> Result<(), Violation> {
        for report in &receipt.recipients {
            let Some(&of) = self.authors.get(&report.author) else { continue };
            holds(NAME, self.sites[of].address == report.address, || {
                format!("site {site} sent what is for site {of} to {}", report.address)
            })?;
        }
        Ok(())
    }
}
