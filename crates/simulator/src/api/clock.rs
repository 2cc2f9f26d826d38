//! The virtual clock of a served simulation.
//!
//! It runs at a rate of the real one, or stands until it is moved. It never goes back.

use std::time::Instant;

use crate::clock::Micros;

/// How the virtual clock goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// It stands until it is moved; each request moves it on by so many microseconds.
    Stepped(Micros),
    /// It runs, so many times as fast as the real one.
    Times(f64),
}

/// A clock with its pace.
#[derive(Debug)]
pub(crate) struct Clock {
    pace: Pace,
    /// The virtual time at `since`.
    at: Micros,
    since: Instant,
}

impl Clock {
    pub(crate) fn new(at: Micros, pace: Pace) -> Self {
        Self { pace, at, since: Instant::now() }
    }

    pub(crate) fn now(&self) -> Micros {
        match self.pace {
            Pace::Stepped(_) => self.at,
            Pace::Times(times) => {
                self.at + (self.since.elapsed().as_micros() as f64 * times.max(0.0)) as Micros
            }
        }
    }

    pub(crate) fn pace(&self) -> Pace {
        self.pace
    }

    /// Changes how it goes from now on.
    pub(crate) fn set_pace(&mut self, pace: Pace) {
        *self = Self::new(self.now(), pace);
    }

    /// Moves it on; backwards does nothing.
    pub(crate) fn advance(&mut self, by: Micros) {
        *self = Self::new(self.now() + by.max(0), self.pace);
    }

    /// The time of a request, which may move the clock.
    pub(crate) fn tick(&mut self) -> Micros {
        let now = self.now();
        if let Pace::Stepped(step) = self.pace {
            self.at += step.max(0);
        }
        now
    }
}
