-- One redemption. ARGV: request id, code, client, club.
-- Returns the client's balance after it; -1: the code is exhausted; -2: there is no such code.
local request = redis.call('HGET', 'redemptions', ARGV[1])
if request then return tonumber(string.match(request, '^%S+')) end
local code = string.upper(ARGV[2])
local uses = redis.call('HGET', 'codes', code)
local answer, amount = -2, 0
if uses then
  local terms = redis.call('HMGET', 'terms', 'cap', 'amount')
  if tonumber(uses) < tonumber(terms[1]) then
    amount = terms[2]
    redis.call('HINCRBY', 'codes', code, 1)
    answer = redis.call('HINCRBY', 'balances', ARGV[3], amount)
  else
    answer = -1
  end
end
redis.call('HSET', 'redemptions', ARGV[1], string.format('%d %s %s %s %s', answer, amount, ARGV[3], ARGV[4], code))
return answer
