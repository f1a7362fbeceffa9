//! Tests of the language of rules from outside; each file is named after the property it tests.

mod chance;
mod conditions_hold_as_counted_by_hand;
mod formulas_agree_with_an_oracle;
mod no_text_is_misread;
mod the_page_of_formulas_is_true;
