//! The attribute of types that are sent or stored.

use proc_macro::TokenStream;

/// Derives what each type of the wire format has: `Debug`, `Clone`, `PartialEq`, `Eq`, rkyv's `Archive`, `Serialize` and `Deserialize`, and
/// serde's `Serialize` for JSON. Further derives are arguments: `#[wire_format(Copy)]`.
#[proc_macro_attribute]
pub fn wire_format(further: TokenStream, item: TokenStream) -> TokenStream {
    let derive = format!(
        "#[derive(Debug, Clone, PartialEq, Eq, ::rkyv::Archive, ::rkyv::Serialize, ::rkyv::Deserialize, ::serde::Serialize, {further})]"
    );
    let mut output: TokenStream = derive.parse().expect("the text is an attribute if the arguments are paths");
    output.extend(item);
    output
}
