//! Dead letters that fail at times, before and after they are written.

use model::fault::{Fault, FaultKind};
use tokio::time::sleep;

use super::{World, fault};
use crate::{DeadLetters, Letter};

pub(crate) struct FakeLetters(pub(crate) World);

impl DeadLetters for FakeLetters {
    async fn write(&self, letters: Vec<Letter>) -> Result<(), Fault> {
        let (before, after, delay) = {
            let mut inner = self.0.lock();
            if !inner.letter_script.is_empty() {
                return Err(inner.letter_script.remove(0));
            }
            let chance = inner.chaos.letter_fault;
            (inner.percent(chance), inner.percent(chance), inner.delay())
        };
        sleep(delay).await;
        let mut inner = self.0.lock();
        if before || inner.is_out(&inner.chaos.letter_outages) {
            return Err(fault(FaultKind::Storage));
        }
        for letter in letters {
            let buried = inner.buried.entry(letter.raw).or_default();
            buried.0 += 1;
            buried.1 = letter.reason;
        }
        if after { Err(fault(FaultKind::Storage)) } else { Ok(()) }
    }
}
