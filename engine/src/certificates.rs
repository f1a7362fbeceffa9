//! Certificates: those of an organisation's own authority, made here, and callers' certificates, checked here (mutual TLS).
//!
//! The authority signs the engine's certificate and those of callers who have one instead of a token. Its signature says that a caller may
//! be asked who it is; whose the certificate is, and what its owner may do, the credentials say.

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

/// What an organisation begins with, in PEM.
pub(crate) struct Begun {
    pub(crate) ca: String,
    pub(crate) ca_key: String,
    pub(crate) server: String,
    pub(crate) server_key: String,
}

/// A caller's certificate, in the only moment in which its key is known here.
pub struct IssuedCertificate {
    /// How the credential knows its holder.
    pub secret: Secret,
    /// The certificate (PEM).
    pub certificate: String,
    /// Its private key (PEM).
    pub key: String,
}

/// Why no certificate can be issued to a caller.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The authority's key cannot be used.
    #[error("it cannot be used: {0}")]
    Key(#[from] rcgen::Error),
    /// What it has signed is not taken by the authority.
    #[error("it is not the key of the authority in tls/ca.pem: {0}")]
    OtherAuthority(String),
}

/// An authority, and a certificate for an engine under some names and addresses.
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

/// What every organisation's authority is called, and may do. Two of them differ in their keys alone.
fn authority() -> CertificateParams {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    ca.distinguished_name.push(DnType::CommonName, "Scrip private authority");
    ca
}

/// A certificate for a caller, good from one time to another, both since 1970; signed with the authority's key, and found to be taken.
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

/// The authority whose signature callers' certificates must have.
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

    /// What checks certificates in a handshake, in which none need be shown.
    pub(crate) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        self.verifier.clone()
    }

    /// Checks a chain, a caller's own certificate first, as of a time.
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

    /// Z15: a certificate is one caller's, of one authority, for a time.
    #[test]
    fn a_caller_s_certificate_is_taken_by_its_authority_in_its_time() {
        let (ours, other) = (begin(&[]).expect("a key"), begin(&[]).expect("a key"));
        let first = issued(&ours, &ours).expect("they belong together");
        let second = issued(&ours, &ours).expect("they belong together");
        assert_ne!(first.secret, second.secret, "one name is not one certificate");
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
