-- A code is used up to the cap of the terms; half of each page is left free, so that an update stays on its page.
CREATE TABLE terms (cap integer NOT NULL, amount bigint NOT NULL);
CREATE TABLE codes (code text PRIMARY KEY, uses integer NOT NULL) WITH (fillfactor = 50);
CREATE TABLE balances (client bigint PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 50);
-- One row for each request, refused ones included. An activation is one with an amount.
CREATE TABLE redemptions (
  request uuid PRIMARY KEY,
  code text NOT NULL,
  client bigint NOT NULL,
  club integer NOT NULL,
  amount bigint NOT NULL,
  answer bigint NOT NULL,
  redeemed timestamptz NOT NULL DEFAULT now()
);

-- Returns the client's balance after it; -1: the code is exhausted; -2: there is no such code.
-- Where two transactions have the same request id at once, the later one fails with a unique violation; a retry finds the answer.
CREATE FUNCTION redeem(given_request uuid, given_code text, given_client bigint, given_club integer) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  bonus bigint;
  answered bigint;
BEGIN
  SELECT answer INTO answered FROM redemptions WHERE request = given_request;
  IF FOUND THEN
    RETURN answered;
  END IF;
  UPDATE codes SET uses = uses + 1 FROM terms
    WHERE code = upper(given_code) AND uses < terms.cap
    RETURNING terms.amount INTO bonus;
  IF FOUND THEN
    INSERT INTO balances AS held (client, balance) VALUES (given_client, bonus)
      ON CONFLICT (client) DO UPDATE SET balance = held.balance + excluded.balance
      RETURNING balance INTO answered;
  ELSE
    bonus := 0;
    SELECT CASE WHEN EXISTS (SELECT FROM codes WHERE code = upper(given_code)) THEN -1 ELSE -2 END INTO answered;
  END IF;
  INSERT INTO redemptions (request, code, client, club, amount, answer)
    VALUES (given_request, upper(given_code), given_client, given_club, bonus, answered);
  RETURN answered;
END
$$;
