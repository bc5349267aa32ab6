# As the guide prints it: no start event, and JSON that is sent as a form.
curl -X POST "$PROCESSMAKER_URL/api/1.0/process_events/2" \
  -H "Authorization: Bearer $PROCESSMAKER_TOKEN" \
  -d '{"key1":"value1","key2":"value2"}'
