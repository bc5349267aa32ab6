curl -sS --fail-with-body --max-time 30 "$PROCESSMAKER_URL/api/1.0/process_events/2?event=node_1" \
  -H "Authorization: Bearer $PROCESSMAKER_TOKEN" \
  -H "Accept: application/json" \
  -H "Content-Type: application/json" \
  -d '{"employee": "Ada", "days": 3}'
