newman run openapi/processmaker.postman_collection.json --folder "Start a Request" \
  --env-var "url=$PROCESSMAKER_URL" \
  --env-var "token=$PROCESSMAKER_TOKEN" \
  --env-var "process_id=2" \
  --env-var "event=node_1" \
  --timeout-request 30000
