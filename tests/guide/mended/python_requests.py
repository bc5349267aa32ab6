import os

import requests

url, token = os.environ["PROCESSMAKER_URL"], os.environ["PROCESSMAKER_TOKEN"]
response = requests.post(
    f"{url}/api/1.0/process_events/2",
    params={"event": "node_1"},
    headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
    json={"employee": "Ada", "days": 3},
    timeout=30,
)
response.raise_for_status()
print(response.json()["id"], response.json()["status"])
