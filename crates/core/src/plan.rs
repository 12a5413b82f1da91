//! The steps of a renewal and which orders of them are legal. Running a step is the daemon's.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One move of a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Looks whether everything that follows can succeed. Changes nothing.
    Preflight,
    /// The person says yes, after having been told what will happen.
    Consent,
    /// A new key comes into being, in its protected file.
    GenerateKeys,
    /// The new certificate is asked for: the request is made and signed; a self-made certificate is then there already.
    Request,
    /// The request reaches the authority.
    Submit,
    /// The authority issues, at once or after approval and payment.
    AwaitIssue,
    /// The new certificate reaches us.
    Fetch,
    /// The new certificate is judged and its key is tried.
    Verify,
    /// The new key and certificate reach the place where programs look for them; on a card, the key is tried there.
    Install,
    /// Who uses the certificate learns of the new one.
    Register,
    /// The person does something in another program, and says so.
    ByHand,
    /// The old ones are watched no more. A file is not touched; on a card that moves keys, old and new change places.
    RetireOld,
}

impl Step {
    /// All steps, in their usual order.
    pub const ALL: [Self; 12] = [
        Self::Preflight,
        Self::Consent,
        Self::GenerateKeys,
        Self::Request,
        Self::Submit,
        Self::AwaitIssue,
        Self::Fetch,
        Self::Verify,
        Self::Install,
        Self::Register,
        Self::ByHand,
        Self::RetireOld,
    ];

    /// The word for it in programmes, records and views.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preflight => "preflight",
            Self::Consent => "consent",
            Self::GenerateKeys => "generate-keys",
            Self::Request => "request",
            Self::Submit => "submit",
            Self::AwaitIssue => "await-issue",
            Self::Fetch => "fetch",
            Self::Verify => "verify",
            Self::Install => "install",
            Self::Register => "register",
            Self::ByHand => "by-hand",
            Self::RetireOld => "retire-old",
        }
    }

    /// Whether it is done once for each certificate of the identity; the others are done once for all of them.
    pub fn is_for_each(self) -> bool {
        matches!(self, Self::GenerateKeys | Self::Request | Self::Verify | Self::Install | Self::RetireOld)
    }

    /// The steps that must have been done before this one may begin, in a plan that makes keys or in one that does not.
    ///
    /// This table is the order of effects: a key is in its file before its public half goes anywhere, and the old is left alone
    /// until the new is judged and in its place.
    pub fn requires(self, makes_keys: bool) -> &'static [Self] {
        match self {
            Self::Preflight => &[],
            Self::Consent => &[Self::Preflight],
            Self::GenerateKeys | Self::ByHand => &[Self::Preflight, Self::Consent],
            Self::AwaitIssue if !makes_keys => &[Self::Preflight, Self::Consent],
            Self::Fetch if !makes_keys => &[Self::AwaitIssue],
            Self::Verify if !makes_keys => &[Self::Fetch],
            Self::Request => &[Self::GenerateKeys],
            Self::Submit | Self::Verify => &[Self::Request],
            Self::AwaitIssue | Self::Fetch => &[Self::Submit],
            Self::Install => &[Self::Verify],
            Self::Register => &[Self::Install],
            Self::RetireOld => &[Self::Verify, Self::Install],
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The steps of one renewal, in order; legal by construction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Step>", into = "Vec<Step>")]
pub struct Plan(Vec<Step>);

/// The steps by which what exists already takes the place of the old: nothing is made, and nothing moved.
const ADOPTION: [Step; 4] = [Step::Preflight, Step::Consent, Step::Verify, Step::RetireOld];

/// Those where programs are to learn of it.
const TOLD_ADOPTION: [Step; 5] = [Step::Preflight, Step::Consent, Step::Verify, Step::Register, Step::RetireOld];

/// Why steps are no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A step comes before one that it needs.
    #[error("`{step}` needs `{missing}` before it")]
    Order {
        /// The step that comes too early.
        step: Step,
        /// What is not yet done then.
        missing: Step,
    },
    /// A step stands twice that may happen only once.
    #[error("`{0}` stands twice")]
    Twice(Step),
    /// Something stands behind the last step.
    #[error("`retire-old` must be the last step")]
    NotLast,
    /// The plan ends before the new certificate is in its place.
    #[error("`{0}` is missing")]
    Missing(Step),
}

impl Plan {
    /// Checks an order of steps: each one has what it needs before it, effects happen once, `retire-old` comes last.
    pub fn new(steps: Vec<Step>) -> Result<Self, PlanError> {
        if steps == ADOPTION || steps == TOLD_ADOPTION {
            return Ok(Self(steps));
        }
        let makes_keys = steps.contains(&Step::GenerateKeys);
        for (position, step) in steps.iter().copied().enumerate() {
            let before = &steps[..position];
            if let Some(missing) = step.requires(makes_keys).iter().copied().find(|needed| !before.contains(needed)) {
                return Err(PlanError::Order { step, missing });
            }
            // Looking, asking and judging may be repeated, and a person may have several things to do; what makes or moves something may not.
            let repeatable = matches!(
                step,
                Step::Preflight | Step::Consent | Step::Verify | Step::AwaitIssue | Step::Register | Step::ByHand
            );
            if !repeatable && before.contains(&step) {
                return Err(PlanError::Twice(step));
            }
        }
        // What was sent to an authority must come back before it is judged.
        let at = |step| steps.iter().position(|other| *other == step);
        if let (Some(_), Some(verify)) = (at(Step::Submit), at(Step::Verify))
            && at(Step::Fetch).is_none_or(|fetch| fetch > verify)
        {
            return Err(PlanError::Order { step: Step::Verify, missing: Step::Fetch });
        }
        if let Some(missing) = [Step::Install, Step::RetireOld].into_iter().find(|step| !steps.contains(step)) {
            return Err(PlanError::Missing(missing));
        }
        if steps.last() != Some(&Step::RetireOld) {
            return Err(PlanError::NotLast);
        }
        Ok(Self(steps))
    }

    /// The plan by which certificates that exist already, and lie in their place, take the place of the old ones. `told`: programs
    /// are to learn of them.
    pub fn adoption(told: bool) -> Self {
        Self(if told { TOLD_ADOPTION.into() } else { ADOPTION.into() })
    }

    /// Whether what is needed is there when it begins.
    pub fn is_adoption(&self) -> bool {
        self.0 == ADOPTION || self.0 == TOLD_ADOPTION
    }

    /// Whether a new key comes into being.
    pub fn makes_keys(&self) -> bool {
        self.0.contains(&Step::GenerateKeys)
    }

    /// The steps.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }
}

impl TryFrom<Vec<Step>> for Plan {
    type Error = PlanError;

    fn try_from(steps: Vec<Step>) -> Result<Self, PlanError> {
        Self::new(steps)
    }
}

impl From<Plan> for Vec<Step> {
    fn from(plan: Plan) -> Self {
        plan.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_usual_order_is_a_plan() {
        assert!(Plan::new(Step::ALL.to_vec()).is_ok());
    }

    #[test]
    fn what_exists_is_judged_before_it_replaces() {
        for adoption in [Plan::adoption(false), Plan::adoption(true)] {
            assert!(!adoption.makes_keys());
            assert_eq!(Plan::new(adoption.steps().to_vec()), Ok(adoption.clone()));
            let mut unjudged = adoption.steps().to_vec();
            unjudged.retain(|step| *step != Step::Verify);
            assert!(Plan::new(unjudged).is_err());
        }
    }

    #[test]
    fn what_others_make_is_awaited_and_judged() {
        use Step::{AwaitIssue, Consent, Fetch, Install, Preflight, RetireOld, Verify};
        let whole = vec![Preflight, Consent, AwaitIssue, Fetch, Verify, Install, RetireOld];
        let plan = Plan::new(whole.clone()).expect("a plan");
        assert!(!plan.makes_keys() && !plan.is_adoption());
        for left_out in [Preflight, Consent, AwaitIssue, Fetch, Verify, Install, RetireOld] {
            let rest: Vec<Step> = whole.iter().copied().filter(|step| *step != left_out).collect();
            assert!(Plan::new(rest).is_err(), "without {left_out}");
        }
    }

    #[test]
    fn the_old_is_never_retired_early() {
        use Step::{Consent, GenerateKeys, Install, Preflight, Request, RetireOld, Verify};
        assert_eq!(
            Plan::new(vec![Preflight, Consent, GenerateKeys, Request, RetireOld, Verify, Install]),
            Err(PlanError::Order { step: RetireOld, missing: Verify })
        );
        assert_eq!(
            Plan::new(vec![Preflight, Consent, GenerateKeys, Request, Verify, Install]),
            Err(PlanError::Missing(RetireOld))
        );
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_keeps_the_order_of_effects(steps in proptest::collection::vec(0_usize..Step::ALL.len(), 0..12)) {
            let steps: Vec<Step> = steps.into_iter().map(|index| Step::ALL[index]).collect();
            if let Ok(plan) = Plan::new(steps)
                && !plan.is_adoption()
            {
                let at = |step| plan.steps().iter().position(|other| *other == step).expect("in the plan");
                if plan.makes_keys() {
                    prop_assert!(at(Step::GenerateKeys) < at(Step::Request));
                    prop_assert!(at(Step::Consent) < at(Step::GenerateKeys));
                } else {
                    prop_assert!(at(Step::Consent) < at(Step::AwaitIssue) && at(Step::AwaitIssue) < at(Step::Fetch));
                    prop_assert!(at(Step::Fetch) < at(Step::Verify));
                }
                prop_assert!(at(Step::Verify) < at(Step::Install));
                if plan.steps().contains(&Step::Submit) {
                    prop_assert!(at(Step::Request) < at(Step::Submit) && at(Step::Submit) < at(Step::Fetch) && at(Step::Fetch) < at(Step::Verify));
                }
                prop_assert_eq!(at(Step::RetireOld), plan.steps().len() - 1);
                prop_assert!(plan.steps().iter().filter(|step| **step == Step::GenerateKeys).count() <= 1);
            }
        }
    }
}
