//! Certificates: issues those of an organisation's own authority, and checks those of callers (mutual TLS).
//!
//! The authority signs the engine's certificate, and those of callers that have one instead of a token. Its signature only proves
//! that the certificate is the authority's; the credentials define whose it is, and what its owner may do.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use scrip_protocol::command::Secret;
use scrip_transport::tls;

use crate::credentials::secret_of_certificate;

/// The first certificates of an organisation, in PEM.
pub(crate) struct Begun {
    pub(crate) ca: String,
    pub(crate) ca_key: String,
    pub(crate) server: String,
    pub(crate) server_key: String,
}

/// A caller's new certificate, with the key, which is not stored.
pub struct IssuedCertificate {
    /// Identifies the holder in the credential.
    pub secret: Secret,
    /// The certificate (PEM).
    pub certificate: String,
    /// Its private key (PEM).
    pub key: String,
}

/// Why no certificate could be issued to a caller.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The authority's key is unusable.
    #[error("it cannot be used: {0}")]
    Key(#[from] rcgen::Error),
    /// The authority rejects what the key has signed.
    #[error("it is not the key of the authority in tls/ca.pem: {0}")]
    OtherAuthority(String),
}

/// Creates an authority, and a certificate for an engine with these names and addresses.
pub(crate) fn begin(hosts: &[String]) -> Result<Begun, rcgen::Error> {
    let ca_key = KeyPair::generate()?;
    let ca = authority();
    let ca_certificate = ca.self_signed(&ca_key)?;
    let server_key = KeyPair::generate()?;
    let mut server = CertificateParams::new(hosts)?;
    server.distinguished_name.push(DnType::CommonName, "Scrip engine");
    server.use_authority_key_identifier_extension = true;
    let server_certificate = server.signed_by(&server_key, &Issuer::from_params(&ca, &ca_key))?;
    Ok(Begun {
        ca: ca_certificate.pem(),
        ca_key: ca_key.serialize_pem(),
        server: server_certificate.pem(),
        server_key: server_key.serialize_pem(),
    })
}

/// The name and constraints of every organisation's authority. Two of them differ only in their keys.
fn authority() -> CertificateParams {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    ca.distinguished_name.push(DnType::CommonName, "Scrip private authority");
    ca
}

/// Issues a certificate for a caller, valid between two times since 1970, signed with the authority's key and verified.
pub(crate) fn issue(
    ca: &CallersAuthority,
    ca_key: &str,
    name: &str,
    from: Duration,
    until: Duration,
) -> Result<IssuedCertificate, IssueError> {
    let ca_key = KeyPair::from_pem(ca_key)?;
    let key = KeyPair::generate()?;
    let mut caller = CertificateParams::default();
    caller.distinguished_name.push(DnType::CommonName, name);
    caller.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    caller.use_authority_key_identifier_extension = true;
    (caller.not_before, caller.not_after) = (date_time_ymd(1970, 1, 1) + from, date_time_ymd(1970, 1, 1) + until);
    let certificate = caller.signed_by(&key, &Issuer::from_params(&authority(), &ca_key))?;
    ca.check(&[certificate.der().clone()], UnixTime::since_unix_epoch(from)).map_err(IssueError::OtherAuthority)?;
    Ok(IssuedCertificate {
        secret: secret_of_certificate(certificate.der()),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

/// The authority that must have signed callers' certificates.
pub(crate) struct CallersAuthority {
    verifier: Arc<dyn ClientCertVerifier>,
}

impl CallersAuthority {
    /// The authority in a file (PEM).
    pub(crate) fn of(pem: &[u8]) -> Result<CallersAuthority, String> {
        let roots = tls::authorities(pem).map_err(|cause| cause.to_string())?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), tls::provider()).allow_unauthenticated();
        Ok(CallersAuthority { verifier: verifier.build().map_err(|cause| cause.to_string())? })
    }

    /// Checks certificates during the handshake, in which callers need not present one.
    pub(crate) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        self.verifier.clone()
    }

    /// Checks a chain, a caller's own certificate first, at a time.
    pub(crate) fn check(&self, chain: &[CertificateDer<'_>], at: UnixTime) -> Result<(), String> {
        let (own, others) = chain.split_first().ok_or("there is none")?;
        self.verifier.verify_client_cert(own, others, at).map(|_| ()).map_err(|cause| cause.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn issued(ca: &Begun, ca_key: &Begun) -> Result<IssuedCertificate, IssueError> {
        let authority = CallersAuthority::of(ca.ca.as_bytes()).expect("it was just made");
        issue(&authority, &ca_key.ca_key, "till", 20_000 * DAY, 20_030 * DAY)
    }

    /// Z15: a certificate belongs to one caller and one authority, and is valid for a limited time.
    #[test]
    fn a_caller_s_certificate_is_valid_for_its_authority_and_time() {
        let (ours, other) = (begin(&[]).expect("a key"), begin(&[]).expect("a key"));
        let first = issued(&ours, &ours).expect("they belong together");
        let second = issued(&ours, &ours).expect("they belong together");
        assert_ne!(first.secret, second.secret, "each certificate is unique, even for the same name");
        let check = |ca: &Begun, day: u32| {
            let chain = tls::chain(first.certificate.as_bytes()).expect("it was just made");
            let authority = CallersAuthority::of(ca.ca.as_bytes()).expect("it was just made");
            assert_eq!(secret_of_certificate(&chain[0]), first.secret);
            authority.check(&chain, UnixTime::since_unix_epoch(DAY * day))
        };
        for (ca, day, taken) in [(&ours, 20_000, true), (&ours, 20_030, true), (&ours, 19_999, false), (&ours, 20_031, false)] {
            assert_eq!(check(ca, day).is_ok(), taken, "day {day}");
        }
        assert!(check(&other, 20_001).is_err());
    }

    #[test]
    fn an_authority_s_key_that_is_not_the_one_trusted_is_noticed() {
        let (ours, other) = (begin(&[]).expect("a key"), begin(&[]).expect("a key"));
        assert!(matches!(issued(&ours, &other), Err(IssueError::OtherAuthority(_))));
        let torn = Begun { ca_key: String::new(), ..other };
        assert!(matches!(issued(&ours, &torn), Err(IssueError::Key(_))));
        assert!(CallersAuthority::of(b"").is_err());
    }
}
